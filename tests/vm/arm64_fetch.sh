#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Debian's packages for arm64, unpacked into a folder and not installed; this machine's own
# packages, architectures and lists stay as they are.
# Usage: arm64_fetch.sh STATE FOLDER SUITE PACKAGE...
# STATE keeps what apt knows. FOLDER is made anew unless it holds just these packages already.
# A package that only names another one (linux-image-cloud-arm64) is followed.
set -eu
state=$1 folder=$2 suite=$3
shift 3
wanted="$suite $*"
[ "$(cat "$folder/unpacked" 2>/dev/null)" != "$wanted" ] || exit 0
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Where this machine has its own packages from; the archive's key signs all suites and architectures.
mirror()
{
	site=$(apt-get indextargets --format '$(ORIGIN) $(SITE)' 'Created-By: Packages' 2>/dev/null |
		awk '$1 == "Debian" && $2 !~ /security/ { print $2; exit }')
	if [ -z "$site" ] || [ ! -e $keyring ]; then
		echo "arm64_fetch.sh: packages for arm64 come from Debian's mirror: none is configured here" >&2
		exit 1
	fi
	echo "$site"
}

configure()
{
	site=$(mirror)
	mkdir -p "$state/lists/partial" "$state/archives/partial"
	: > "$state/status"
	for name in bookworm trixie; do
		echo "deb [signed-by=$keyring] $site $name main"
	done > "$state/sources.list"
	cat > "$state/apt.conf" <<-END
		APT::Architecture "arm64";
		APT::Architectures { "arm64"; };
		APT::Sandbox::User "root";
		Dir::State "$state";
		Dir::State::status "$state/status";
		Dir::State::lists "$state/lists";
		Dir::Cache "$state";
		Dir::Etc::sourcelist "$state/sources.list";
		Dir::Etc::sourceparts "$state/lists";
		Dir::Etc::preferences "$state/none";
		Dir::Etc::preferencesparts "$state/lists";
	END
	APT_CONFIG="$state/apt.conf" apt-get -qq update
}

# With its suite; of a package that only names the newest kernel the one that holds it.
full_name()
{
	case $1 in
	linux-image-cloud-arm64)
		apt-cache -o "APT::Default-Release=$suite" depends "$1" |
			awk -v suite="$suite" '/Depends: linux-image-[0-9]/ { print $2 "/" suite; exit }' ;;
	*) echo "$1/$suite" ;;
	esac
}

state=$(mkdir -p "$state" && cd "$state" && pwd)
configure
export APT_CONFIG="$state/apt.conf"
rm -rf "$folder"
mkdir -p "$folder/deb"
packages=$(for package in "$@"; do full_name "$package"; done)
(cd "$folder/deb" && apt-get -qq download $packages)
for deb in "$folder"/deb/*.deb; do
	dpkg-deb -x "$deb" "$folder"
done
rm -r "$folder/deb"
echo "$wanted" > "$folder/unpacked"
