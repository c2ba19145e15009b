#!/usr/bin/env python3
"""Runs a command under a seccomp profile in Docker's format, without Docker: for tests of the profile.

    under_seccomp.py PROFILE.json [--deny NAME[,NAME...]] -- COMMAND [WORD...]

--deny takes names out of the profile, so that they fail as they do under one that has not heard of them.
Promises: the filter holds for the command and its children, and the command gets the caller's arguments, files and environment.
Never: more than the calling user may do. Needs libseccomp.so.2 (Debian: libseccomp2).
"""

import ctypes
import json
import os
import sys

ALLOW = 0x7FFF0000
ERRNO = 0x00050000
OPERATORS = {"SCMP_CMP_EQ": 4, "SCMP_CMP_MASKED_EQ": 7}


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = [("argument", ctypes.c_uint), ("operator", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def action(rule, default_errno):
    if rule["action"] == "SCMP_ACT_ALLOW":
        return ALLOW
    return ERRNO | rule.get("errnoRet", default_errno)


def load(profile, denied):
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Comparison)]
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    default_errno = profile.get("defaultErrnoRet", 1)
    context = library.seccomp_init(ERRNO | default_errno)
    for rule in profile["syscalls"]:
        compared = [
            Comparison(one["index"], OPERATORS[one["op"]], one["value"], one.get("valueTwo", 0))
            for one in rule.get("args", [])
        ]
        for name in set(rule["names"]) - denied:
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number < 0:  # not a call of this machine, or of this libseccomp
                continue
            error = library.seccomp_rule_add_array(
                context, action(rule, default_errno), number, len(compared), (Comparison * len(compared))(*compared)
            )
            if error:
                sys.exit(f"under_seccomp: {name}: error {error}")
    if library.seccomp_load(context):
        sys.exit("under_seccomp: the kernel does not take the filter")


def main():
    words = sys.argv[1:]
    if "--" not in words or not words[0].endswith(".json"):
        sys.exit(__doc__)
    at = words.index("--")
    options, command = words[1:at], words[at + 1 :]
    denied = set(options[1].split(",")) if options[:1] == ["--deny"] else set()
    with open(words[0], encoding="utf-8") as file:
        load(json.load(file), denied)
    os.execvp(command[0], command)


main()
