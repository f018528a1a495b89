// CUDA_VISIBLE_DEVICES as CUDA reads it, and what workers are given.
#include "gpu/visibility.hpp"

#include <gtest/gtest.h>

#include "support/expect_error.hpp"

namespace prs::gpu {
namespace {

using Entries = std::vector<std::string>;
using test::expect_error;

std::vector<Device> four_gpus() {
  return {{.uuid = "GPU-8932f937-d72c", .name = "A"},
          {.uuid = "GPU-8932aaaa-0001", .name = "B"},
          {.uuid = "GPU-1111bbbb-0002", .name = "C"},
          {.uuid = "GPU-2222cccc-0003", .name = "D"}};
}

/// One device cut into two parts, one whole, one cut into nothing.
std::vector<Device> partitioned_gpus() {
  return {{.uuid = "GPU-aaaa-1",
           .name = "A",
           .mig_mode = true,
           .mig_devices = {{"MIG-c6d4f1ef", "MIG-GPU-aaaa-1/1/0"},
                           {"MIG-cba663e8", "MIG-GPU-aaaa-1/2/0"}}},
          {.uuid = "GPU-bbbb-2", .name = "B"},
          {.uuid = "GPU-cccc-3", .name = "C", .mig_mode = true}};
}

VisibleDevices read(const std::string& list, const std::vector<Device>& devices = four_gpus()) {
  return visible_devices({.cuda_visible_devices = list}, devices);
}

TEST(Visibility, G1_WithoutVariablesTheDriverCounts) {
  const VisibleDevices visible = visible_devices({}, four_gpus());
  EXPECT_EQ(visible.entries, (Entries{"0", "1", "2", "3"}));
  EXPECT_TRUE(visible.notes.empty());
}

TEST(Visibility, G1_WithoutDriverAndVariablesThereIsNone) {
  EXPECT_TRUE(visible_devices({}, {}).entries.empty());
}

TEST(Visibility, G1_GpuCountFoundOverrulesTheDriver) {
  const auto count = [](const char* text, const std::vector<Device>& devices) {
    return visible_devices({.gpu_count_found = text}, devices).entries;
  };
  EXPECT_EQ(count("2", four_gpus()), (Entries{"0", "1"}));
  EXPECT_EQ(count("0", four_gpus()), Entries{});
  EXPECT_EQ(count("3", {}), (Entries{"0", "1", "2"}));
  EXPECT_EQ(count("5", four_gpus()), (Entries{"0", "1", "2", "3", "4"}));
}

TEST(Visibility, G1_ACountBeyondTheDriversIsTold) {
  const VisibleDevices visible = visible_devices({.gpu_count_found = "5"}, four_gpus());
  ASSERT_EQ(visible.notes.size(), 1U);
  EXPECT_EQ(visible.notes[0],
            "AZ_BATCHAI_GPU_COUNT_FOUND=5, but the driver shows 4: workers beyond them will find "
            "no GPU");
}

TEST(Visibility, G1_ACountThatIsNoneIsRefused) {
  for (const char* text : {"", "two", "-1", "2 ", " 2", "1.5", "0x2", "1025", "99999999999"}) {
    expect_error(ErrorCode::kInvalidArgument, "AZ_BATCHAI_GPU_COUNT_FOUND",
                 [text] { visible_devices({.gpu_count_found = text}, {}); });
  }
}

TEST(Visibility, G6_AListRestrictsTheGpuCountFound) {
  const auto both = [](const char* list, const char* count, const std::vector<Device>& devices) {
    return visible_devices({.cuda_visible_devices = list, .gpu_count_found = count}, devices)
        .entries;
  };
  EXPECT_EQ(both("3", "4", four_gpus()), Entries{"3"});
  EXPECT_EQ(both("3,2,1", "2", four_gpus()), (Entries{"3", "2"})) << "the count cuts the list";
  EXPECT_EQ(both("3,0", "9", four_gpus()), (Entries{"3", "0"})) << "the count adds nothing to it";
  EXPECT_EQ(both("", "4", four_gpus()), Entries{});
}

TEST(Visibility, G6_WithoutDriverIndicesAreCheckedAgainstTheCount) {
  const auto pretended = [](const char* list) {
    return visible_devices({.cuda_visible_devices = list, .gpu_count_found = "3"}, {}).entries;
  };
  EXPECT_EQ(pretended("2,0"), (Entries{"2", "0"}));
  EXPECT_EQ(pretended("2,3,0"), Entries{"2"});
  EXPECT_EQ(pretended("GPU-12,GPU-34"), (Entries{"GPU-12", "GPU-34"})) << "cannot be checked";
  EXPECT_EQ(pretended("GPU-12,GPU-12"), Entries{});
  EXPECT_EQ(pretended("MIG-12,0"), Entries{"MIG-12"});
}

TEST(Visibility, G6_WithoutDriverAndCountAListNamesNothing) {
  for (const char* list : {"0", "GPU-8932f937", "MIG-1"}) {
    const VisibleDevices visible = read(list, {});
    EXPECT_TRUE(visible.entries.empty()) << list;
    ASSERT_EQ(visible.notes.size(), 1U);
    EXPECT_NE(visible.notes[0].find("there is no GPU"), std::string::npos) << visible.notes[0];
  }
}

TEST(Visibility, G6_IndicesKeepTheirOrder) { EXPECT_EQ(read("2,1").entries, (Entries{"2", "1"})); }

TEST(Visibility, G6_AnInvalidEntryEndsTheList) {
  EXPECT_EQ(read("0,2,-1,1").entries, (Entries{"0", "2"}));
  EXPECT_EQ(read("0,4,1").entries, Entries{"0"});
  EXPECT_EQ(read("one,0").entries, Entries{});
  EXPECT_EQ(read("1,,0").entries, Entries{"1"});
  EXPECT_EQ(read("1,").entries, Entries{"1"});
  EXPECT_EQ(read(",1").entries, Entries{});
  EXPECT_EQ(read("0,99999999999999999999").entries, Entries{"0"});
  EXPECT_EQ(read("-1").entries, Entries{});
  EXPECT_EQ(read("all").entries, Entries{});
  EXPECT_EQ(read("gpu-8932f937").entries, Entries{}) << "names are case-sensitive";
}

TEST(Visibility, G6_TheLogTellsWhereAListEndsAndWhy) {
  EXPECT_EQ(read("0,2,-1,1").notes,
            Entries{"CUDA_VISIBLE_DEVICES=0,2,-1,1: the list ends before \"-1\" (indices go from 0 "
                    "to 3)"});
  EXPECT_EQ(read("x").notes,
            Entries{"CUDA_VISIBLE_DEVICES=x: the list ends before \"x\" (no index, GPU-UUID or "
                    "MIG-UUID)"});
  EXPECT_TRUE(read("0,3").notes.empty());
}

TEST(Visibility, G6_AnEmptyListMeansNone) {
  for (const char* list : {"", " ", "\t"}) {
    EXPECT_EQ(read(list).entries, Entries{});
    EXPECT_EQ(read(list).notes, Entries{"CUDA_VISIBLE_DEVICES is empty: no GPU is used"});
  }
}

TEST(Visibility, G6_ARepeatedEntryMakesAllInvisible) {
  for (const char* list : {"0,0", "0,1,2,1", "1,+1", "0,-0", "2,02", "GPU-1111,GPU-1111",
                           "GPU-1111,GPU-2222,GPU-1111bbbb-0002"}) {
    const VisibleDevices visible = read(list);
    EXPECT_EQ(visible.entries, Entries{}) << list;
    ASSERT_EQ(visible.notes.size(), 1U) << list;
    EXPECT_NE(visible.notes[0].find("repeats a GPU"), std::string::npos) << visible.notes[0];
  }
  EXPECT_EQ(read("0,-1,0").entries, Entries{"0"}) << "behind the end nothing counts";
}

TEST(Visibility, G6_IndicesAreReadLikeStrtol) {
  EXPECT_EQ(read("1gpu2,2ampere").entries, (Entries{"1gpu2", "2ampere"}));
  EXPECT_EQ(read("2,+3,-0,5").entries, (Entries{"2", "+3", "-0"}));
  EXPECT_EQ(read("0-2").entries, Entries{"0-2"}) << "no range: device 0";
  EXPECT_EQ(read("+-1").entries, Entries{});
}

TEST(Visibility, G6_WhiteSpaceAroundEntriesIsIgnored) {
  EXPECT_EQ(read(" 0, 1 ,\t2").entries, (Entries{"0", "1", "2"}));
  EXPECT_EQ(read(" GPU-1111 , GPU-2222").entries, (Entries{"GPU-1111", "GPU-2222"}));
}

TEST(Visibility, G6_AGpuUuidMayBeAbbreviatedToAUniquePrefix) {
  EXPECT_EQ(read("GPU-2222cccc-0003,GPU-8932f,GPU-1").entries,
            (Entries{"GPU-2222cccc-0003", "GPU-8932f", "GPU-1"}));
  EXPECT_EQ(read("GPU-1,GPU-8932,GPU-2").entries, Entries{"GPU-1"});
  EXPECT_NE(read("GPU-8932").notes.at(0).find("2 GPUs have a UUID that begins so"),
            std::string::npos);
  EXPECT_NE(read("GPU-9").notes.at(0).find("no GPU has this UUID"), std::string::npos);
  EXPECT_EQ(read("GPU-2222cccc-00031").entries, Entries{});
}

TEST(Visibility, G6_FormsCannotBeMixed) {
  EXPECT_EQ(read("0,GPU-1111").entries, Entries{"0"});
  EXPECT_EQ(read("GPU-1111,0").entries, Entries{"GPU-1111"});
  EXPECT_EQ(read("MIG-c6d4f1ef,GPU-bbbb", partitioned_gpus()).entries, Entries{"MIG-c6d4f1ef"});
  EXPECT_NE(read("0,GPU-1111").notes.at(0).find("cannot be mixed"), std::string::npos);
}

TEST(Visibility, G6_MigDevicesGoByUuidOrTheOlderName) {
  const auto mig = [](const char* list) { return read(list, partitioned_gpus()).entries; };
  EXPECT_EQ(mig("MIG-cba663e8,MIG-c6d4f1ef"), (Entries{"MIG-cba663e8", "MIG-c6d4f1ef"}));
  EXPECT_EQ(mig("MIG-GPU-aaaa-1/2/0"), Entries{"MIG-GPU-aaaa-1/2/0"});
  EXPECT_EQ(mig("MIG-GPU-aa/1/0,MIG-cba663e8"), (Entries{"MIG-GPU-aa/1/0", "MIG-cba663e8"}));
  EXPECT_EQ(mig("MIG-GPU-aaaa-1/2/0,MIG-cba663e8"), Entries{}) << "both name one device";
  EXPECT_EQ(mig("MIG-c6d4"), Entries{}) << "a MIG-UUID is not abbreviated";
  EXPECT_EQ(mig("MIG-GPU-aaaa-1/3/0"), Entries{});
  EXPECT_EQ(mig("MIG-GPU-aaaa-1/2"), Entries{});
  EXPECT_EQ(mig("MIG-GPU-aaaa-1"), Entries{});
  EXPECT_EQ(mig("MIG-GPU-dddd/1/0"), Entries{});
  EXPECT_EQ(mig("MIG-"), Entries{});
}

TEST(Visibility, G6_OlderDriversKnowMigDevicesByTheOlderNameOnly) {
  const std::vector<Device> devices = {{.uuid = "GPU-aaaa-1",
                                        .name = "A",
                                        .mig_mode = true,
                                        .mig_devices = {{"MIG-GPU-aaaa-1/1/0", ""}}}};
  EXPECT_EQ(read("MIG-GPU-aaaa-1/1/0", devices).entries, Entries{"MIG-GPU-aaaa-1/1/0"});
  EXPECT_EQ(visible_devices({}, devices).entries, Entries{"MIG-GPU-aaaa-1/1/0"});
}

TEST(Visibility, G6_EachPartOfAPartitionedDeviceIsASlot) {
  const VisibleDevices visible = visible_devices({}, partitioned_gpus());
  EXPECT_EQ(visible.entries, (Entries{"MIG-c6d4f1ef", "MIG-cba663e8", "GPU-bbbb-2"}));
  EXPECT_EQ(visible.notes, Entries{"GPU 2 (C) is left out: its MIG mode is on and it has no MIG "
                                   "devices"});
}

TEST(Visibility, G6_APartitionedDeviceByIndexIsItsFirstPart) {
  const VisibleDevices visible = read("2,0,1", partitioned_gpus());
  EXPECT_EQ(visible.entries, (Entries{"0", "1"}));
  ASSERT_EQ(visible.notes.size(), 2U);
  EXPECT_NE(visible.notes[0].find("\"2\" is left out"), std::string::npos) << visible.notes[0];
  EXPECT_NE(visible.notes[1].find("\"0\" is partitioned, so CUDA takes the first of its 2"),
            std::string::npos)
      << visible.notes[1];
  EXPECT_EQ(read("GPU-aaaa", partitioned_gpus()).notes.size(), 1U);
}

TEST(Visibility, G1_NamesOfPartsCannotBeMadeUp) {
  const VisibleDevices more = visible_devices({.gpu_count_found = "7"}, partitioned_gpus());
  EXPECT_EQ(more.entries.size(), 3U);
  EXPECT_EQ(more.notes.back(),
            "AZ_BATCHAI_GPU_COUNT_FOUND=7, but the driver shows 3: the rest is ignored");
  const VisibleDevices fewer = visible_devices({.gpu_count_found = "1"}, partitioned_gpus());
  EXPECT_EQ(fewer.entries, Entries{"MIG-c6d4f1ef"});
  EXPECT_EQ(fewer.notes.back(), "AZ_BATCHAI_GPU_COUNT_FOUND=1: 1 of 3 GPUs are used");
}

TEST(Visibility, G3_AWorkerWithoutSlotsGetsTheEmptyString) {
  EXPECT_EQ(worker_value(read("2,1"), {}), "");
  EXPECT_EQ(worker_value({}, {}), "");
}

TEST(Visibility, G6_WorkersGetEntriesVerbatim) {
  const VisibleDevices visible = read("GPU-2222,GPU-8932f,GPU-1");
  EXPECT_EQ(worker_value(visible, std::vector<int>{1}), "GPU-8932f");
  EXPECT_EQ(worker_value(visible, std::vector<int>{0, 2}), "GPU-2222,GPU-1");
  EXPECT_EQ(worker_value(read("3,2"), std::vector<int>{0}), "3") << "index 0 is the first entry";
}

TEST(Visibility, ASlotThatDoesNotExistIsAMistakeOfOurs) {
  for (const int slot : {-1, 2}) {
    expect_error(ErrorCode::kInternal, "GPU slot",
                 [slot] { worker_value(read("2,1"), std::vector<int>{slot}); });
  }
}

TEST(Visibility, G6_TheDriversOrderIsAskedForWhereIndicesAreOurs) {
  EXPECT_EQ(device_order_for_workers({}, four_gpus()), "PCI_BUS_ID");
  EXPECT_EQ(device_order_for_workers({.gpu_count_found = "2"}, four_gpus()), "PCI_BUS_ID");
  EXPECT_EQ(device_order_for_workers({}, {}), std::nullopt) << "no driver";
  EXPECT_EQ(device_order_for_workers({.cuda_device_order = "FASTEST_FIRST"}, four_gpus()),
            std::nullopt)
      << "the user's choice is passed on";
  EXPECT_EQ(device_order_for_workers({.cuda_visible_devices = "1,0"}, four_gpus()), std::nullopt)
      << "the user's indices mean CUDA's order";
}

}  // namespace
}  // namespace prs::gpu
