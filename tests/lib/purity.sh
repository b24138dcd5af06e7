#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The core stays pure: no object of src/base, src/model, src/engine or src/detect may import anything but the functions below, only
# mem.o may allocate, and there are no writable globals. Usage: purity.sh OBJECT...
set -eu

pure='mem(chr|cmp|cpy|move|set|mem|rchr) str(n?len|n?cmp|r?chr|c?spn|str|nlen|pbrk|tou?ll?|tod) strchrnul
stpcpy mempcpy __isoc23_strtou?ll? v?snprintf qsort bsearch isalnum isalpha isdigit isspace
inet_ntop htonl htons ntohl ntohs __ctype_b_loc __ctype_tolower_loc __ctype_toupper_loc __memcpy_chk __memmove_chk __memset_chk
__strcpy_chk __v?snprintf_chk __stack_chk_fail _GLOBAL_OFFSET_TABLE_'
allocation='malloc calloc realloc free'

pattern()
{
	echo "^($(echo "$*" | tr -s ' \n' '|' | sed 's/|$//'))$"
}

[ $# -gt 0 ] || { echo "no objects given" >&2; exit 2; }
# Each tool runs once for all objects: starting hundreds of programs takes ten seconds.
faults=$({
	nm --defined-only --extern-only -- "$@" | awk 'NF == 3 { print "own", $3 }'
	nm -A --undefined-only -- "$@" | sed 's/^\(.*\): *[a-zA-Z] /import \1 /'
	# .data.rel.ro is constant once it is loaded: tables of pointers
	nm -A --format=sysv -- "$@" | awk -F'|' '$7 ~ /^\.(data|bss)|COM/ && $7 !~ /^\.data\.rel\.ro/ {
		sub(/:/, " ", $1); print "global", $1 }'
	size -A -- "$@" | awk 'NF == 2 && $2 == ":" { object = $1 }
		$1 == ".data" || $1 == ".bss" { print "data", object, $2 }'
} | awk -v pure="$(pattern $pure)" -v allocation="$(pattern $allocation)" '
	$1 == "own" { own[$2] }
	$1 == "import" && !($3 in own) && $3 !~ pure && !($2 ~ /(^|\/)mem\.o$/ && $3 ~ allocation) {
		print $2 " is not pure: it imports " $3 }
	$1 == "global" { print $2 " is not pure: it has the writable global " $3 }
	$1 == "data" && $3 > 0 { print $2 " is not pure: " $3 " bytes of writable static data" }')
[ -z "$faults" ] || { echo "$faults" >&2; exit 1; }
echo "$# objects are pure"
