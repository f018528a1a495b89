// PRS_ASAN: compiled with AddressSanitizer; then its interface is here.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define PRS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PRS_ASAN 1
#endif
#endif

#ifdef PRS_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
