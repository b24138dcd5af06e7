# SPDX-License-Identifier: BSD-2-Clause
# fish completion of fdtrace(8). Rules and thresholds are those that the program itself lists.

function __fdtrace_program
    set -l words (commandline -opc)
    # after sudo the program is not the first word
    for word in $words
        if string match -qr '(^|/)fdtrace$' -- $word
            echo $word
            return
        end
    end
    echo fdtrace
end

# Each of them after what stands before the last comma, a minus kept.
function __fdtrace_rules
    set -l before (string match -r '^(?:.*[,=])?-?' -- (commandline -ct) | string replace -r '^--rules=' '')
    set -l program (__fdtrace_program)
    $program --rules help 2>/dev/null | while read -l id severity on says
        echo $before$id\t"$says"
        echo $before(string split -f 1 . $id)\tfamily
    end
    echo $before"all"
    echo help
end

function __fdtrace_settings
    set -l program (__fdtrace_program)
    $program --set help 2>/dev/null | string replace -r '^([^=]+=)\S*\s+(.*)$' '$1\t$2'
    echo help
end

function __fdtrace_pids
    set -l before (string match -r '^.*,' -- (commandline -ct))
    __fish_complete_pids | string replace -r '^' "$before"
end

function __fdtrace_fingerprints
    set -l folder /var/lib/fdtrace/evidence
    set -q FDTRACE_EVIDENCE; and set folder $FDTRACE_EVIDENCE
    path basename $folder/*.jsonl 2>/dev/null | string replace -r '\..*' '' | sort -u
end

set -g __fdtrace_with_value -p --pid -o --output -r --record -d --duration -i --interval --rules \
    --min-severity --suppress --set --stacks --hooks --fail-on --error-exitcode --color --width -c --config

# The first word that is neither an option nor the value of one.
function __fdtrace_word
    set -l words (commandline -opc)
    while set -q words[1]; and not string match -qr '(^|/)fdtrace$' -- $words[1]
        set -e words[1]
    end
    set -e words[1]
    while set -q words[1]
        switch $words[1]
            case $__fdtrace_with_value
                set -e words[1]
            case --
                echo $words[1]
                return
            case '-*'
            case '*'
                echo $words[1]
                return
        end
        set -e words[1]
    end
    return 1
end

function __fdtrace_begins
    not __fdtrace_word >/dev/null
end

# Options belong to fdtrace until a command begins.
function __fdtrace_own
    set -l word (__fdtrace_word)
    or return 0
    contains -- $word replay explain doctor
end

function __fdtrace_mode
    test "$(__fdtrace_word)" = $argv[1]
end

complete -c fdtrace -f
complete -c fdtrace -n __fdtrace_begins -a replay -d 'Analyse a recording'
complete -c fdtrace -n __fdtrace_begins -a explain -d 'All that was kept of a finding'
complete -c fdtrace -n __fdtrace_begins -a doctor -d 'What this machine offers'
complete -c fdtrace -n __fdtrace_begins -a '(__fish_complete_command)'
complete -c fdtrace -n 'not __fdtrace_own' -a '(__fish_complete_subcommand $__fdtrace_with_value)'
complete -c fdtrace -n '__fdtrace_mode replay' -F
complete -c fdtrace -n '__fdtrace_mode explain' -a '(__fdtrace_fingerprints)'

complete -c fdtrace -n __fdtrace_own -s p -l pid -x -a '(__fdtrace_pids)' -d 'Attach to processes'
complete -c fdtrace -n __fdtrace_own -s a -l all -d 'The whole machine'
complete -c fdtrace -n __fdtrace_own -s j -l json -d 'JSON lines'
complete -c fdtrace -n __fdtrace_own -a --json=full -d 'JSON lines without a size cap'
complete -c fdtrace -n __fdtrace_own -s e -l events -d 'Every descriptor event'
complete -c fdtrace -n __fdtrace_own -s o -l output -r -F -a 'text: json:' -d 'Write there; - is stdout'
complete -c fdtrace -n __fdtrace_own -s r -l record -r -F -d 'Keep the event stream for replay'
complete -c fdtrace -n __fdtrace_own -s d -l duration -x -a '10s 1m 5m' -d 'Stop after this time'
complete -c fdtrace -n __fdtrace_own -s i -l interval -x -a '10s 1m 5m' -d 'A summary so often'
complete -c fdtrace -n __fdtrace_own -l wait -d 'Until the last descendant has ended'
complete -c fdtrace -n __fdtrace_own -l no-follow -d 'Without children'
complete -c fdtrace -n __fdtrace_own -l rules -x -a '(__fdtrace_rules)' -d 'Which rules judge'
complete -c fdtrace -n __fdtrace_own -l min-severity -x -a 'info warning error' -d 'Findings from there on'
complete -c fdtrace -n __fdtrace_own -l suppress -r -F -d 'Findings not to tell'
complete -c fdtrace -n __fdtrace_own -l set -x -a '(__fdtrace_settings)' -d 'A threshold'
complete -c fdtrace -n __fdtrace_own -l stacks -x -a 'auto native python off' -d 'Which stacks'
complete -c fdtrace -n __fdtrace_own -l hooks -x -a 'auto function tracepoint' -d 'How calls are seen'
complete -c fdtrace -n __fdtrace_own -l fail-on -x -a '(__fdtrace_rules) error warning info new' -d 'Exit with 10 if there is one of these'
complete -c fdtrace -n __fdtrace_own -l error-exitcode -x -d 'Exit so if there are findings'
complete -c fdtrace -n __fdtrace_own -l color -x -a 'always never auto' -d 'When to use colour'
complete -c fdtrace -n __fdtrace_own -l width -x -d 'Columns of text'
complete -c fdtrace -n __fdtrace_own -l verify -d 'Compare tables with the kernel\'s'
complete -c fdtrace -n __fdtrace_own -s q -l quiet -d 'No summary, fewer messages'
complete -c fdtrace -n __fdtrace_own -s v -l verbose -d 'More'
complete -c fdtrace -n __fdtrace_own -l daemon -d 'A service'
complete -c fdtrace -n __fdtrace_own -s c -l config -r -F -d 'Its configuration'
complete -c fdtrace -n __fdtrace_own -l check-config -d 'Read that and start nothing'
complete -c fdtrace -n __fdtrace_own -s h -l help -d 'A page of help'
complete -c fdtrace -n __fdtrace_own -s V -l version -d 'The version'
