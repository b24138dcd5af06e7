# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# bash completion of fdtrace(8). Rules and thresholds are those that the program itself lists.

# Of the word after the last comma: rules and families, a minus kept.
_fdtrace_rules()
{
	local list=$2 before="" minus="" ids
	ids=$("$1" --rules help 2>/dev/null | while read -r id _; do
		printf '%s\n%s\n' "${id%%.*}" "$id"
	done)
	[[ $list == *,* ]] && before=${list%,*}, && list=${list##*,}
	[[ $list == -* ]] && minus=- && list=${list#-}
	mapfile -t COMPREPLY < <(compgen -P "$before$minus" -W "$ids all help" -- "$list" | sort -u)
	compopt -o nospace
}

# Of --set KEY=VALUE the part before = is completed; bash may have split the word there.
# Rules, families and the other words of --fail-on.
_fdtrace_failures()
{
	_fdtrace_rules "$1" "$2"
	mapfile -t COMPREPLY < <(printf '%s\n' "${COMPREPLY[@]}" | grep -vE '(^|[,-])(all|help)$|^$'
		compgen -P "${2%"${2##*,}"}" -W "error warning info new" -- "${2##*,}")
}

_fdtrace_settings()
{
	local keys
	[[ $2 == *=* ]] && return
	keys=$("$1" --set help 2>/dev/null | while IFS='=' read -r key _; do
		printf '%s=\n' "$key"
	done)
	mapfile -t COMPREPLY < <(compgen -W "$keys help" -- "$2")
	compopt -o nospace
}

# Pids and names of processes. Those that fit are listed with what they are; a name is any bytes.
_fdtrace_pids()
{
	local list=$1 before="" folder pid name found=() told=()
	[[ $list == *,* ]] && before=${list%,*}, && list=${list##*,}
	for folder in /proc/[1-9]*; do
		pid=${folder##*/}
		{ read -r name <"$folder/comm"; } 2>/dev/null || continue
		name=${name//[^[:alnum:]._:@+-]/?}
		if [[ $pid == "$list"* ]]; then
			found+=("$before$pid")
			told+=("$before$pid ($name)")
		elif [[ -n $list && $name == "$list"* && $name != *\?* ]]; then
			found+=("$before$name")
			told+=("$before$name")
		fi
	done
	mapfile -t found < <(printf '%s\n' "${found[@]}" | sort -u)
	# a list that is shown may say more; what is put into the line may not (9: TAB, which puts)
	if ((${#found[@]} > 1)) && [[ ${COMP_TYPE-9} == 63 ]]; then
		mapfile -t COMPREPLY < <(printf '%s\n' "${told[@]}" | sort -u)
	else
		COMPREPLY=("${found[@]}")
	fi
	[[ ${COMPREPLY[*]} ]] || COMPREPLY=()
}

# [FORMAT:]FILE; bash has split the word at the colon, which is a word of its own.
_fdtrace_output()
{
	local word=$1
	[[ $word == : ]] && word=""
	if [[ -n $word && ${COMP_WORDS[COMP_CWORD - 1]} != : ]]; then
		mapfile -t COMPREPLY < <(compgen -W "text: json:" -- "$word")
	fi
	((${#COMPREPLY[@]})) && compopt -o nospace && return
	compopt -o filenames
	mapfile -t COMPREPLY < <(compgen -f -- "$word")
}

_fdtrace_fingerprints()
{
	local folder=${FDTRACE_EVIDENCE:-/var/lib/fdtrace/evidence} file names=()
	for file in "$folder"/*.jsonl; do
		[[ -e $file ]] || continue
		file=${file##*/}
		names+=("${file%%.*}")
	done
	mapfile -t COMPREPLY < <(compgen -W "${names[*]}" -- "$1" | sort -u)
}

# The value of option $1; false: it takes none.
_fdtrace_value()
{
	local program=$2 word=$3
	case $1 in
	--rules) _fdtrace_rules "$program" "$word" ;;
	--set) _fdtrace_settings "$program" "$word" ;;
	-p | --pid) _fdtrace_pids "$word" ;;
	--fail-on) _fdtrace_failures "$program" "$word" ;;
	--color) mapfile -t COMPREPLY < <(compgen -W "always never auto" -- "$word") ;;
	--min-severity) mapfile -t COMPREPLY < <(compgen -W "info warning error" -- "$word") ;;
	--stacks) mapfile -t COMPREPLY < <(compgen -W "auto native python off" -- "$word") ;;
	--hooks) mapfile -t COMPREPLY < <(compgen -W "auto function tracepoint" -- "$word") ;;
	-o | --output) _fdtrace_output "$word" ;;
	-r | --record | -c | --config | --suppress)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		;;
	-d | --duration | -i | --interval | --error-exitcode | --width) ;;
	*) return 1 ;;
	esac
}

# Where the command or the word of a mode begins; nothing if the line has none yet.
_fdtrace_first_word()
{
	local i
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--) echo $((i + 1)) && return ;;
		-p | --pid | -o | --output | -r | --record | -d | --duration | -i | --interval | --rules | \
			--min-severity | --suppress | --set | --stacks | --hooks | --fail-on | --error-exitcode | \
			--color | --width | -c | --config)
			[[ ${COMP_WORDS[i + 1]-} == "=" ]] && ((i++))
			((i++))
			[[ ${COMP_WORDS[i + 1]-} == "=" ]] && ((i += 2)) # --set KEY = VALUE
			;;
		--json) [[ ${COMP_WORDS[i + 1]-} == "=" ]] && ((i += 2)) ;;
		-*) ;;
		*) echo "$i" && return ;;
		esac
	done
}

_fdtrace_options()
{
	mapfile -t COMPREPLY < <(compgen -W "-p --pid -a --all -j --json --json=full -e --events -o --output
		-r --record -d --duration -i --interval --no-follow --rules --min-severity --suppress --set
		--wait --stacks --hooks --fail-on --error-exitcode --color --width --verify -q --quiet -v --verbose --daemon -c --config
		--check-config -h --help -V --version" -- "$1")
}

_fdtrace()
{
	local program=$1 word=$2 before=$3 first
	COMPREPLY=()
	if [[ $word == "=" ]]; then
		word=""
	elif [[ $before == "=" ]]; then
		before=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	[[ ${COMP_WORDS[COMP_CWORD]} == "=" ]] && before=${COMP_WORDS[COMP_CWORD - 1]}
	first=$(_fdtrace_first_word)
	case ${first:+${COMP_WORDS[first]-}} in
	"") ;;
	replay | explain | doctor)
		[[ ${COMP_WORDS[first - 1]} == -- ]] && first="command $first"
		;;
	*) first="command $first" ;;
	esac
	if [[ $first == command* ]] && ((COMP_CWORD >= ${first#command })); then
		if declare -F _command_offset >/dev/null; then
			_command_offset "${first#command }"
		else
			compopt -o filenames
			mapfile -t COMPREPLY < <(compgen -f -- "$word")
		fi
		return
	fi
	_fdtrace_value "$before" "$program" "$word" && return
	if [[ $word == -* ]]; then
		_fdtrace_options "$word"
	elif [[ -z $first ]]; then
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -c -W "replay explain doctor" -- "$word" | sort -u)
	elif [[ ${COMP_WORDS[first]} == explain ]]; then
		_fdtrace_fingerprints "$word"
	elif [[ ${COMP_WORDS[first]} == replay ]]; then
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
	fi
}

complete -F _fdtrace fdtrace
