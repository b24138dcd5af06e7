# SPDX-License-Identifier: BSD-2-Clause
# The jobserver is a pipe that MAKEFLAGS names: its numbers go to makes, and to lines that begin with +.
named: sub-a sub-b sub-c
	+@case "$$MAKEFLAGS" in *--jobserver-auth=*) sleep 1;; *) exit 1;; esac

sub-%:
	@$(MAKE) -s -f $(lastword $(MAKEFILE_LIST)) part-$*-1 part-$*-2

part-%:
	@cat $(lastword $(MAKEFILE_LIST)) | sort >/dev/null

# Given to a program that is not told of them.
unnamed:
	+@env -u MAKEFLAGS -u MFLAGS sleep 1

.PHONY: named unnamed
