// Expects a prs::Error with a given code whose message holds a given text.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "prs/error.hpp"

namespace prs::test {

template <typename Body>
void expect_error(ErrorCode code, const std::string& text, const Body& body) {
  try {
    body();
    ADD_FAILURE() << "no error; expected one with: " << text;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.message();
    EXPECT_NE(error.message().find(text), std::string::npos)
        << "message: " << error.message() << "\nexpected in it: " << text;
  }
}

}  // namespace prs::test
