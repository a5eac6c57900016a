# The steps of deploy/test, in order. Sourced by it.
# shellcheck shell=bash disable=SC2154

CHECKS="$REPOSITORY/deploy/checks"
cd "$REPOSITORY" || exit

step packages "Debian packages" 1800 '' "$STACK/packages" test
if wanted system || wanted openapi || wanted chaos; then
    step python "Python packages in .sluice/venv" 600 packages "$CHECKS/venv" "$VENV"
fi

if wanted lint; then
    step format "swift format, shellcheck" 300 '' "$CHECKS/format"
    step imports "import rules" 60 '' "$CHECKS/imports"
    step files "no file that does not belong" 60 '' "$CHECKS/files"
    step proofs "the tests that guarantees.md names" 60 '' "$CHECKS/proofs"
fi

if wanted build || wanted unit || wanted system || wanted openapi || wanted chaos || wanted benchmarks; then
    step build "debug build with tests" 2700 packages swift build --build-tests
fi

if wanted unit; then
    # One process a target: a crash in one hides nothing of the others, and only one target's servers run at a time.
    while read -r target; do
        step "unit.$target" "swift test $target" 900 build \
            swift test --skip-build --filter "^$target\\." --xunit-output "$RESULTS/unit.$target.xml"
    done < <("$CHECKS/test-targets")
fi

if wanted thread; then
    step thread "thread sanitizer on Postgres, AMQP, Outbox" 2400 packages "$CHECKS/sanitize" thread "$RESULTS/thread.xml"
fi
if wanted address; then
    step address "address sanitizer on Postgres, AMQP, Outbox" 2400 packages \
        "$CHECKS/sanitize" address "$RESULTS/address.xml"
fi

# The tests of the running system mostly wait: what they leave idle of the processors makes the release binaries. What
# goes wrong with them is said by the step that needs them.
release=''
if wanted smoke && wanted system; then
    nice -n 19 swift build -c release --static-swift-stdlib >"$RESULTS/release.log" 2>&1 8>&- &
    release=$!
fi

# The services' own stack, once for all that needs it.
if wanted system || wanted openapi || wanted chaos || wanted benchmarks; then
    step stack "deploy/up, again, down, up: nothing doubled, nothing lost" 600 build "$CHECKS/lifecycle"
fi
pytest=("$VENV/bin/python" -m pytest -p no:cacheprovider -ra --timeout=900)
if wanted system; then
    step system "the whole story, bad input, scope, messages" 1500 python,stack "${pytest[@]}" Tests/System \
        --ignore=Tests/System/chaos --junitxml="$RESULTS/system.xml"
    SLUICE_CHAOS_MINUTES='' step chaos "killed and stopped at random, seed $chaos_seed, short" 720 python,stack \
        "${pytest[@]}" Tests/System/chaos --junitxml="$RESULTS/chaos.xml"
fi
if wanted openapi; then
    step openapi "schemathesis on five documents" 900 python,stack "$CHECKS/openapi" "$VENV" "$RESULTS"
fi
if wanted chaos; then
    step chaos.long "killed and stopped at random, seed $chaos_seed, $chaos_minutes minutes" \
        $((chaos_minutes * 60 + 900)) python,stack \
        "${pytest[@]}" --timeout=$((chaos_minutes * 60 + 800)) Tests/System/chaos --junitxml="$RESULTS/chaos.long.xml"
fi
# Only that each of them runs, with release binaries; the figures come from the full size.
if wanted smoke; then
    [ -z "$release" ] || wait "$release" || true
    step smoke "every benchmark, a few seconds each" 1500 packages \
        Tests/Benchmarks/run --size smoke memory idle start lane bound throughput rest
fi
if wanted benchmarks; then
    step benchmarks "ratios of the design's table" 7200 stack Tests/Benchmarks/run
fi
