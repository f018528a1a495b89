#include "entry/row_collector.hpp"

#include <gtest/gtest.h>

namespace prs::entry {
namespace {

config::Step safe_step(config::OutputFormat format) {
  config::Step step;
  step.append_row_safe_output = true;
  step.output_format = format;
  return step;
}

TEST(RowCollector, O2_RowsAreWrittenAsTheyAre) {
  RowCollector collector{config::Step()};
  collector.add("a\nb");
  collector.add("");
  collector.rows().item_errors.push_back("x");
  const Rows rows = collector.take();
  EXPECT_EQ(rows.text, "a\nb\n\n");
  EXPECT_EQ(rows.count, 2);
  EXPECT_EQ(rows.item_errors.size(), 1U);
  EXPECT_EQ(collector.take().count, 0);
}

TEST(RowCollector, O2_SafeOutputEscapesLineBreaksInText) {
  RowCollector text(safe_step(config::OutputFormat::kText));
  text.add("a\nb\r\\n");
  EXPECT_EQ(text.take().text, "a\\nb\\r\\\\n\n");
  RowCollector json(safe_step(config::OutputFormat::kJsonLines));
  json.add(R"({"name":"a\nb"})");
  EXPECT_EQ(json.take().text, "{\"name\":\"a\\nb\"}\n");
}

TEST(RowCollector, O1_SummaryOnlyCounts) {
  config::Step step;
  step.output_action = config::OutputAction::kSummaryOnly;
  RowCollector collector(step);
  collector.add("a");
  collector.add("b");
  const Rows rows = collector.take();
  EXPECT_EQ(rows.count, 2);
  EXPECT_EQ(rows.text, "");
}

}  // namespace
}  // namespace prs::entry
