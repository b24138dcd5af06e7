#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The core stays pure: no object of src/base, src/model, src/engine or src/detect may import anything but the functions below, only
# mem.o may allocate, and there are no writable globals. Usage: purity.sh OBJECT...
set -eu

pure='mem(chr|cmp|cpy|move|set|mem|rchr) str(n?len|n?cmp|r?chr|c?spn|str|nlen|pbrk|tou?ll?|tod) strchrnul
stpcpy mempcpy __isoc23_strtou?ll? v?snprintf qsort bsearch isalnum isalpha isdigit isspace
__ctype_b_loc __ctype_tolower_loc __ctype_toupper_loc __memcpy_chk __memmove_chk __memset_chk
__strcpy_chk __v?snprintf_chk __stack_chk_fail _GLOBAL_OFFSET_TABLE_'
allocation='malloc calloc realloc free'

fail()
{
	echo "$*" >&2
	bad=1
}

pattern()
{
	echo "$*" | tr -s ' \n' '|'
}

[ $# -gt 0 ] || { echo "no objects given" >&2; exit 2; }
bad=0
own=$(nm --defined-only --extern-only -- "$@" | awk 'NF == 3 { print $3 }')
for object in "$@"; do
	allowed=$pure
	[ "${object##*/}" != mem.o ] || allowed="$pure $allocation"
	foreign=$(nm --undefined-only -- "$object" | awk '{ print $2 }' |
		  grep -vxF -e "$own" | grep -vxE "$(pattern $allowed)" || true)
	[ -z "$foreign" ] || fail "$object is not pure: it imports" $foreign
	# .data.rel.ro is constant once it is loaded: tables of pointers
	globals=$(nm --format=sysv -- "$object" | awk -F'|' '$7 ~ /^\.(data|bss)|COM/ && $7 !~ /^\.data\.rel\.ro/ { print $1 }')
	[ -z "$globals" ] || fail "$object is not pure: it has the writable globals" $globals
	data=$(size -A -- "$object" | awk '$1 == ".data" || $1 == ".bss" { sum += $2 } END { print sum + 0 }')
	[ "$data" -eq 0 ] || fail "$object is not pure: $data bytes of writable static data"
done
[ "$bad" -eq 0 ] && echo "$# objects are pure"
exit "$bad"
