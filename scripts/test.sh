#!/usr/bin/env bash
# Builds and runs all tests.
#
#   scripts/test.sh
#
# Installs the Debian packages that are missing (asks nothing). Runs, each in build/<preset>:
#   asan      unit, simulation and integration tests under AddressSanitizer and UBSan
#   tsan      the tests of what runs in several threads, under ThreadSanitizer
#   fuzz      each fuzzer for PRS_FUZZ_SECONDS (15)
#   release   everything: unit, conformance, simulation, integration, lint
# Fails when one of them fails. PRS_PRESETS="release asan" runs some only, in that order.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  "") ;;
  -h | --help) sed -n '2,11s/^# \{0,1\}//p' "scripts/test.sh"; exit 0 ;;
  *) echo "test.sh: unknown argument $1; see --help" >&2; exit 2 ;;
esac
read -ra presets <<<"${PRS_PRESETS:-asan tsan fuzz release}"
fuzz_seconds=${PRS_FUZZ_SECONDS:-15}
# What runs in several threads: the thread pool, engines that threads share, the resource monitor, the
# listing of inputs, images read ahead.
threaded='^unit\.(ThreadPool|Engine|ResourceMonitor|Lister|Model)'

scripts/install-deps.sh --build --test --data
jobs=$(scripts/jobs.sh)
# Another copy of the project may use what this one compiled.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
mkdir -p build

# quietly LOG COMMAND...: output to LOG; its end is shown on failure.
quietly() {
  local log=$1
  shift
  if ! "$@" >>"$log" 2>&1; then
    tail -n 60 "$log"
    echo "The whole log: $PWD/$log"
    return 1
  fi
}

configure_and_build() {
  local preset=$1 log=$2 target=() options=(-D PRS_TESTS=ON -D PRS_TOGETHER=ON)
  case $preset in
    tsan) target=(--target unit_threads unit_engine unit_scheduler_monitor unit_scheduler_dataset
      unit_scheduler_entry) ;;
    fuzz)
      target=(--target fuzzers)
      options+=(-D "PRS_FUZZ_SECONDS=$fuzz_seconds")
      ;;
  esac
  : >"$log"
  quietly "$log" cmake --preset "$preset" "${options[@]}" &&
    quietly "$log" cmake --build "build/$preset" --parallel "$jobs" "${target[@]}"
}

run_tests() {
  local select=() prefix=()
  case $1 in
    asan) select=(-L 'unit|integration|simulation') ;;
    tsan)
      select=(-R "$threaded")
      # Newer kernels place memory where g++ 12's ThreadSanitizer does not expect it.
      if setarch -R true 2>/dev/null; then prefix=(setarch -R); fi
      ;;
    fuzz) select=(-L fuzz) ;;
  esac
  "${prefix[@]}" ctest --test-dir "build/$1" --output-on-failure --no-tests=error --parallel "$jobs" "${select[@]}"
}

failed=()
for index in "${!presets[@]}"; do
  preset=${presets[index]} log=build/test-${presets[index]}.log start=$SECONDS
  echo "== $preset: building (log: $log)"
  if ! configure_and_build "$preset" "$log"; then
    failed+=("$preset")
    continue
  fi
  echo "== $preset: built in $((SECONDS - start)) s; testing"
  if ((index + 1 < ${#presets[@]})); then
    # Only the summary, unless something fails: the last run is shown whole.
    quietly "$log" run_tests "$preset" || failed+=("$preset")
    grep -E 'tests passed|tests failed|Total Test time' "$log" || true
  else
    [[ ${#failed[@]} == 0 ]] || echo "FAILED so far: ${failed[*]}"
    run_tests "$preset" || failed+=("$preset")
  fi
done
if [[ ${#failed[@]} -gt 0 ]]; then
  echo "FAILED: ${failed[*]}"
  exit 1
fi
