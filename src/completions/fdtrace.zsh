#compdef fdtrace
# SPDX-License-Identifier: BSD-2-Clause
# zsh completion of fdtrace(8). Rules and thresholds are those that the program itself lists.

# The program as it was typed, also after sudo.
_fdtrace_program()
{
	print -r -- ${${(Q)words[(r)(*/|)fdtrace]}:-fdtrace}
}

_fdtrace_rules()
{
	local -a ids
	local id rest
	compset -P '*,'
	compset -P -
	$(_fdtrace_program) --rules help 2>/dev/null | while read -r id rest; do
		ids+=("$id:${rest##*  }" "${id%%.*}:family")
	done
	ids+=('all:every rule' 'help:list them')
	_describe rule ids -S ''
}

_fdtrace_failures()
{
	local -a failures
	local id rest
	compset -P '*,'
	$(_fdtrace_program) --rules help 2>/dev/null | while read -r id rest; do
		failures+=("$id:${rest##*  }" "${id%%.*}:family")
	done
	failures+=('error:at least so severe' 'warning:at least so severe' 'info:at least so severe'
		'new:what no suppression covers')
	_describe failure failures -S ''
}

_fdtrace_settings()
{
	local -a keys
	local line
	compset -P '*=' && return
	$(_fdtrace_program) --set help 2>/dev/null | while read -r line; do
		keys+=("${line%%=*}:${${line#* }## #}")
	done
	_describe threshold keys -S =
	compadd help
}

_fdtrace_pids()
{
	compset -P '*,'
	_pids
}

# [FORMAT:]FILE
_fdtrace_output()
{
	compset -P '(text|json):' && { _files; return }
	_alternative 'files:file:_files' 'formats:format:(text\: json\:)'
}

_fdtrace_fingerprints()
{
	local -aU names
	names=(${FDTRACE_EVIDENCE:-/var/lib/fdtrace/evidence}/*.jsonl(N:t))
	names=(${names%%.*})
	compadd -a names
}

# A command, or one of fdtrace's own words.
_fdtrace_first()
{
	local -a own
	own=('replay:analyse a recording' 'explain:all that was kept of a finding'
		'doctor:what this machine offers')
	_describe 'fdtrace command' own
	_command_names -e
}

_fdtrace_words()
{
	case $words[1] in
	replay) _arguments -S $options '*:recording:_files' ;;
	explain) _arguments -S $options '1:fingerprint:_fdtrace_fingerprints' ;;
	doctor) _arguments -S $options ;;
	*) _normal ;;
	esac
}

_fdtrace()
{
	local curcontext=$curcontext state line
	local -a options
	options=(
		'(-p --pid)'{-p+,--pid=}'[attach to processes]:pid:_fdtrace_pids'
		'(-a --all)'{-a,--all}'[the whole machine]'
		'(-j --json)'{-j,--json=-}'[JSON lines]::size:(full)'
		'(-e --events)'{-e,--events}'[every descriptor event]'
		'*'{-o+,--output=}'[write there; - is stdout]:file:_fdtrace_output'
		'(-r --record)'{-r+,--record=}'[keep the event stream for replay]:file:_files'
		'(-d --duration)'{-d+,--duration=}'[stop after this time]:time:(10s 1m 5m)'
		'(-i --interval)'{-i+,--interval=}'[a summary so often]:time:(10s 1m 5m)'
		'--wait[until the last descendant has ended]'
		'--no-follow[without children]'
		'--rules=[which rules judge]:rules:_fdtrace_rules'
		'--min-severity=[findings from there on]:severity:(info warning error)'
		'*--suppress=[findings not to tell]:file:_files'
		'*--set=[a threshold]:threshold:_fdtrace_settings'
		'--stacks=[which stacks]:mode:(auto native python off)'
		'--hooks=[how calls are seen]:mode:(auto function tracepoint)'
		'*--fail-on=[exit with 10 if there is one of these]:rules:_fdtrace_failures'
		'--color=[when to use colour]:when:(always never auto)'
		'--width=[columns of text]:columns:'
		'--error-exitcode=[exit so if there are findings]:status:'
		"--verify[compare tables with the kernel's]"
		'(-q --quiet)'{-q,--quiet}'[no summary, fewer messages]'
		'*'{-v,--verbose}'[more]'
		'--daemon[a service]'
		'(-c --config)'{-c+,--config=}'[its configuration]:file:_files'
		'--check-config[read that and start nothing]'
		'(- *)'{-h,--help}'[a page of help]'
		'(- *)'{-V,--version}'[the version]'
	)
	_arguments -s -S $options ':command:_fdtrace_first' '*::argument:_fdtrace_words'
}

_fdtrace "$@"
