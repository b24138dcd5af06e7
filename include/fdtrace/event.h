/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The wire format: what the BPF programs write into the ring buffer, what a recording
 * holds and what the engine reads. Shared by BPF and user space, so: fixed widths, no
 * pointers, padding written out and zeroed.
 *
 * Every event is an assertion of a fact, not a report of an operation:
 *
 *     slot N of table T holds file F (or nothing); task X made it so by operation O
 *
 * and the kernel side always works in this order: the operation has happened -> reserve
 * ring space -> read the slot -> submit. Ring order is reservation order, so the last
 * assertion in the ring about any slot is true, whatever raced before it.
 *
 * Compatibility: FDT_ABI changes when a field changes its meaning or place. New kinds and
 * new operations may be added freely: readers skip, by size, the kinds they do not know.
 */
#ifndef FDTRACE_EVENT_H
#define FDTRACE_EVENT_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define FDT_ABI 2

/*
 * Every kind of event, once: NAME in FDT_NAME, its number, its struct, and the bytes of that;
 * one with a trailing array (names, stacks, arguments) is that size or larger.
 * Sizes, names, the engine's dispatch and the checks of a replay follow from this table: a kind
 * that one of them lacks does not compile.
 *
 *   SLOT      one slot holds this now
 *   VEC       64 slots hold this now (birth, exec, snapshot)
 *   WORDS     which of 512 slots are filled now (close_range)
 *   TASK      a task is bound to a table, or has ended
 *   ERROR     a call failed with EBADF, EMFILE or ENFILE
 *   USE       first use of a watched descriptor (op = FDT_OP_USE)
 *   PROCESS   executable and arguments of a process
 *   LIMIT     RLIMIT_NOFILE of a process
 *   LOCK      a POSIX record lock was set or removed
 *   REGISTER  a process changed what an epoll watches
 *   MARK      close-on-exec was set (result 1) or cleared (0); the slot held `file` then; op is
 *             FDT_OP_MARK
 * 9 to 12 are stacks on their way to the loader (stack.h). From here on user space makes them, in
 * the same stream, so that a replay sees them, too:
 *   LOSS      events are missing before this point
 *   TICK      it is time_ns now; nothing else happened
 *   SNAPSHOT  op = FDT_OP_BEGIN or _END; flags = enum fdt_why
 *   NAME      what a file is called; op = FDT_OP_OPEN: made by the kernel, ahead of the SLOT of an
 *             open, of what the file was called then
 *   FOPS      which kind an anonymous inode's operations mean
 *   META      one key=value about the recording (tracefile.h)
 *   DETAIL    what an open file is like at this moment
 *   SITE      the stack that a site's hash stands for
 *   ENVIRON   descriptor numbers that an environment names
 *   CGROUP    the cgroup of a process
 */
/* clang-format off */
#define FDT_ENGINE_EVENTS(X) \
	X(SLOT,      1, fdt_slot,       80) \
	X(VEC,       2, fdt_vec,      2088) \
	X(WORDS,     3, fdt_words,     112) \
	X(TASK,      4, fdt_task,       80) \
	X(ERROR,     5, fdt_error,      80) \
	X(USE,       6, fdt_slot,       80) \
	X(PROCESS,   7, fdt_process,   824) \
	X(LIMIT,     8, fdt_limit,      40) \
	X(MARK,     15, fdt_slot,       80) \
	X(LOSS,     16, fdt_loss,       72) \
	X(TICK,     17, fdt_head,       32) \
	X(SNAPSHOT, 18, fdt_head,       32) \
	X(NAME,     19, fdt_name,       72) \
	X(FOPS,     20, fdt_fops,       40) \
	X(META,     21, fdt_meta,       32) \
	X(DETAIL,   22, fdt_detail,    352) \
	X(SITE,     23, fdt_site,       48) \
	X(ENVIRON,  24, fdt_environ,   544) \
	X(CGROUP,   25, fdt_cgroup,     40)
/* Those that one detector alone applies; made only if it is switched on (needs.h). */
#define FDT_DETECTOR_EVENTS(X) \
	X(LOCK,     13, fdt_lock,       96) \
	X(REGISTER, 14, fdt_register,  120)
#define FDT_EVENTS(X) FDT_ENGINE_EVENTS(X) FDT_DETECTOR_EVENTS(X)
/* clang-format on */

enum fdt_event_kind {
#define FDT_EVENT_NUMBER(NAME, number, type, bytes) FDT_##NAME = (number),
	FDT_EVENTS(FDT_EVENT_NUMBER)
#undef FDT_EVENT_NUMBER
};
#define FDT_EVENT_KINDS 26 /* numbers are below it; at most 32: sets of kinds are words */

/* What made the change. */
enum fdt_op {
	FDT_OP_NONE = 0,
	FDT_OP_OPEN = 1,    /* this syscall put a new description or duplicate in the slot */
	FDT_OP_MAYBE = 2,   /* the syscall's small result may be a descriptor it made (ioctl ...);
				 * it is one if the slot differs from what was known */
	FDT_OP_CLOSE = 3,   /* close(fd); result 0, or -EINTR, -EIO ...: closed nevertheless */
	FDT_OP_REPLACE = 4, /* dup2, dup3: the old occupant, if any, ended */
	FDT_OP_RANGE = 5,   /* close_range */
	FDT_OP_RECEIVE = 6, /* SCM_RIGHTS or SCM_PIDFD through recvmsg, recvmmsg */
	FDT_OP_URING = 7,   /* io_uring completion that made or closed a normal descriptor */
	FDT_OP_FORK = 8,    /* a new task; VEC: its own new table */
	FDT_OP_EXEC = 9,
	FDT_OP_EXIT = 10,
	FDT_OP_UNSHARE = 11,  /* unshare(CLONE_FILES), CLOSE_RANGE_UNSHARE */
	FDT_OP_SNAPSHOT = 12, /* found by an iterator, not seen happening */
	FDT_OP_USE = 13,
	FDT_OP_BEGIN = 14,
	FDT_OP_END = 15,
	FDT_OP_URING_CLOSE = 16, /* io_uring close */
	FDT_OP_MARK = 17,
	/* USE: the thread used the number before, when it held another file */
	FDT_OP_STALE_USE = 18,
};

/* Why a snapshot was taken (flags of FDT_SNAPSHOT). */
enum fdt_why {
	FDT_WHY_START = 1,
	FDT_WHY_AUDIT = 2,
	FDT_WHY_LOSS = 3,
	FDT_WHY_END = 4,
	FDT_WHY_CENSUS = 5, /* while the hooks are off */
};

/* Every record begins with this. */
struct fdt_head {
	__u8 kind;     /* enum fdt_event_kind */
	__u8 op;       /* enum fdt_op */
	__u16 size;    /* of the whole record, in bytes */
	__u16 syscall; /* enum fdt_syscall (syscall.h): the same number on every architecture */
	__u16 flags;   /* by kind */
	__u32 tgid;    /* of the task that did it; in the initial pid namespace */
	__u32 tid;
	__u64 time_ns; /* CLOCK_MONOTONIC; coarse (the last tick) on SLOT, USE, MARK, VEC, WORDS */
	__u64 table;   /* files_struct address: a name only, reused after death; 0: none */
};

/* What a slot holds. All zero: nothing. */
struct fdt_file {
	__u64 file;   /* struct file address: names the file description while it lives */
	__u64 inode;  /* i_ino */
	__u32 dev;    /* s_dev as the kernel keeps it: major << 20 | minor */
	__u32 magic;  /* s_magic of the file system (linux/magic.h) */
	__u32 detail; /* sockets: family | type << 8 | protocol << 16; else low half of f_op */
	__u16 mode;   /* i_mode: S_IFMT and permissions */
	__u16 flags;  /* low 16 bits of f_flags (O_ACCMODE, O_NONBLOCK, O_APPEND ...) */
};

#define FDT_SOCK_FAMILY(detail) ((detail)&0xff)
#define FDT_SOCK_TYPE(detail) (((detail) >> 8) & 0xff)
#define FDT_SOCK_PROTOCOL(detail) ((detail) >> 16)

struct fdt_slot {
	struct fdt_head head;
	__s32 fd;
	__s32 result;         /* of the call: 0 or more, or -errno */
	__u64 site;           /* hash of the stack; 0: no stack was taken */
	struct fdt_file file; /* what the slot holds now */
};

#define FDT_VEC_SLOTS 64
/* head.flags of VEC and WORDS */
#define FDT_FIRST 1 /* first record about this table in this batch */
#define FDT_LAST 2  /* last one: every slot beyond it is empty */

struct fdt_vec {
	struct fdt_head head; /* tgid, tid: a task bound to the table */
	__u32 first_fd;       /* number of file[0]; a multiple of 64 */
	__u32 max_fds;        /* the table's capacity; slots at and above are empty */
	struct fdt_file file[FDT_VEC_SLOTS];
};

#define FDT_WORDS_COUNT 8
struct fdt_words {
	struct fdt_head head;
	__u32 first_fd; /* number of bit 0 of word[0]; a multiple of 512 */
	__u32 max_fds;
	__u32 low, high;             /* the range asked for, both included */
	__u64 word[FDT_WORDS_COUNT]; /* bit set: that slot holds a file */
};

/* head.flags of TASK */
#define FDT_TASK_THREAD 1 /* FORK: joins its creator's thread group */
#define FDT_TASK_SHARED 2 /* FORK: shares its creator's table (CLONE_FILES) */
#define FDT_TASK_LAST 4   /* EXIT: the process has no other thread left */
#define FDT_TASK_VFORK 8  /* FORK: CLONE_VFORK */
#define FDT_TASK_WATCHED \
	16 /* EXEC, FORK: the first use of each inherited number from 3 to 4095
				 * will be reported (FDT_USE); without it, no report does not mean no use */

struct fdt_task {
	struct fdt_head head; /* tgid, tid: the task itself */
	__u32 other_tid;      /* FORK: the creating thread; EXEC: the tid it had before */
	__u32 parent_tgid;    /* real parent's process */
	__u64 start_ns;       /* start of the process (group leader), CLOCK_BOOTTIME */
	__u64 nofile;         /* soft RLIMIT_NOFILE */
	__u32 uid;            /* real uid, initial user namespace */
	__s32 exit_code;      /* EXIT: as wait(2) encodes it */
	char comm[16];
};

/* head.flags of ERROR */
#define FDT_ERR_EMPTY 1 /* the slot was empty when looked at: really a closed number */
#define FDT_ERR_FINAL 2 /* of a run: it is over, count will not rise */

/*
 * One failing call, or a run of them by one thread with the same call and error on the same
 * number (step 0) or on consecutive numbers (step 1 or -1). The first of a run is sent at
 * once with count 1; the rest is sent with rising counts and the same run number.
 */
struct fdt_error {
	struct fdt_head head; /* time_ns: of the latest failure, precise */
	__s32 fd;             /* the first number; -1 where the call has none (EMFILE) */
	__s32 error;          /* errno, positive */
	__u32 count;          /* failures so far, this one included */
	__s32 step;
	__u64 run;      /* the same for all records of one run of one thread */
	__u64 first_ns; /* when the run began */
	__u64 nofile;   /* soft RLIMIT_NOFILE then */
	__u64 site;
};

/* Facts of a process image. Strings are cut, not NUL-terminated, and may hold any byte. */
#define FDT_EXE_MAX 256
#define FDT_ARGS_MAX 512
struct fdt_process {
	struct fdt_head head; /* op: EXEC or SNAPSHOT; follows the TASK event it belongs to */
	__u64 start_ns;       /* as in struct fdt_task */
	__u32 parent_tgid;
	__u32 uid;
	__u16 exe_size;
	__u16 args_size;
	__u32 pad;
	char exe[FDT_EXE_MAX];   /* path without links; of a script as given to execve */
	char args[FDT_ARGS_MAX]; /* argv, each ended by NUL */
};

struct fdt_limit {
	struct fdt_head head; /* tgid: whose limit it is */
	__u64 nofile;         /* soft RLIMIT_NOFILE now */
};

enum fdt_loss_cause {
	FDT_LOSS_RING = 1,      /* no room in the ring buffer */
	FDT_LOSS_RECURSION = 2, /* bpf_prog_info.recursion_misses rose */
	FDT_LOSS_KRETPROBE = 3, /* a kretprobe missed because all instances were in use */
	/*
	 * The hooks on system calls are off from here on (head.op FDT_OP_BEGIN), or on again
	 * (FDT_OP_END): in between only forks, execs and exits were seen. count: 0.
	 */
	FDT_LOSS_COVERAGE = 4,
};

struct fdt_loss {
	struct fdt_head head; /* flags: enum fdt_loss_cause */
	__u64 count;
	char program[32];
};

/*
 * head.flags of NAME with op FDT_OP_OPEN, whose text is the names alone: "/var/log/x", of an
 * anonymous file of memfd_create(2) "memfd:x".
 */
enum fdt_name_flag {
	FDT_NAME_CUT = 1,      /* the beginning is missing */
	FDT_NAME_UNLINKED = 2, /* the name had been removed */
};

/* Variable length: head.size says how long. Not NUL-terminated; any byte. */
struct fdt_name {
	struct fdt_head head;
	__s32 fd;
	__u32 pad;
	struct fdt_file file; /* key: file, inode, dev */
	char text[];
};

/* Which parts of struct fdt_detail hold something. */
enum fdt_fact {
	FDT_FACT_SOCKET = 1,    /* state; of IPv4 and IPv6 also addresses and ports */
	FDT_FACT_TCP = 2,       /* unread_bytes, or the backlogs of one that listens */
	FDT_FACT_UNIX = 4,      /* peer_inode; name: its path, '@' for the NUL of an abstract one */
	FDT_FACT_PEER_NAME = 8, /* UNIX: name is the peer's, the socket itself has none */
	FDT_FACT_PIPE = 16,     /* readers, writers; also of a named one */
	FDT_FACT_UNLINKED = 32, /* the name it was opened by has been removed */
	FDT_FACT_MEMFD = 64,    /* made by memfd_create */
	FDT_FACT_IDLE = 128,    /* idle_ns is known: TCP sockets that are or were connected. Not
				 * pipes: since Linux 6.15 their inodes no longer keep times */
	FDT_FACT_REGULAR = 256, /* a regular file: size is known, and the next two bits */
	FDT_FACT_MAPPED = 512,  /* somebody has the file in memory (mmap) */
	FDT_FACT_LOCKED = 1024, /* somebody holds a lock, lease or flock on it */
	FDT_FACT_CLOEXEC = 2048, /* the number is marked close-on-exec */
	FDT_FACT_WAITED = 4096,  /* PIPE: somebody waits for bytes to read (read, poll, epoll) */
	FDT_FACT_WATCHED = 8192, /* registered with an epoll: see registrations */
};

/* One epoll that watches the file. */
struct fdt_registration {
	__u64 epoll; /* struct file address of the epoll */
	__s32 fd;    /* the number under which it was registered */
	__u32 pad;
};
#define FDT_REGISTRATIONS_MAX 4

#define FDT_DETAIL_NAME_MAX 112

/* Read from the kernel's structures, all at one moment, while the file was open. */
struct fdt_detail {
	struct fdt_head head; /* tgid: who holds it */
	__s32 fd;
	__u16 facts;     /* enum fdt_fact */
	__u16 name_size; /* bytes of name */
	struct fdt_file file;
	__u64 position;   /* file offset, as of lseek(2) */
	__u64 peer_inode; /* of the connected socket; 0: none, or it has been closed */
	__u32 links;      /* hard links */
	__u32 readers;    /* how many open files are that end of the pipe */
	__u32 writers;
	__u32 unread_bytes; /* received, and not yet read */
	__u32 backlog;      /* connections waiting for accept(2) ... */
	__u32 backlog_max;  /* ... and how many may */
	__u8 state;         /* as in include/net/tcp_states.h */
	__u8 pad;
	__u16 local_port; /* host byte order */
	__u16 peer_port;
	__u16 pad2;
	__u8 local[16]; /* network byte order; IPv4 in the first four bytes */
	__u8 peer[16];
	char name[FDT_DETAIL_NAME_MAX]; /* any byte */
	__u64 idle_ns;                  /* since the last byte came or went; by the timer tick */
	__u64 size;                     /* of a regular file, bytes */
	__u32 registration_count;       /* how many there are; the first few follow */
	__u32 pad3;
	struct fdt_registration registrations[FDT_REGISTRATIONS_MAX];
};

/*
 * fcntl(F_SETLK, F_SETLKW) that succeeded. Such a lock belongs to the table (head.table), not
 * to the descriptor it was set through, and ends when any descriptor of the file in that table
 * is closed.
 */
enum fdt_lock_type { FDT_LOCK_READ = 0, FDT_LOCK_WRITE = 1, FDT_LOCK_NONE = 2 };
struct fdt_lock {
	struct fdt_head head;
	__s32 fd;
	__u32 type;   /* enum fdt_lock_type */
	__s64 start;  /* as in struct flock, l_whence already applied */
	__s64 length; /* 0: to the end; never negative (start is then the lower end) */
	__u64 site;
	struct fdt_file file;
};

/*
 * epoll_ctl() that succeeded, on an epoll that another process had made or used before; not
 * reported once that process has ended. In head.flags: EPOLL_CTL_ADD 1, DEL 2, MOD 3.
 */
struct fdt_register {
	struct fdt_head head;
	__s32 epoll_fd;
	__s32 fd;         /* whose registration was changed */
	__u32 maker_tgid; /* who made the epoll, or is known to have used it first */
	__u32 pad;
	__u64 site;
	struct fdt_file epoll;
	struct fdt_file file; /* what fd holds now; all zero: nothing */
};

/* Which numbers the environment of head.tgid names as descriptors: bit set, as of time_ns. */
#define FDT_ENVIRON_WORDS 64
struct fdt_environ {
	struct fdt_head head;
	__u64 word[FDT_ENVIRON_WORDS];
};

/* The path of head.tgid's cgroup as of time_ns; cut, not NUL-terminated, any byte. */
#define FDT_CGROUP_MAX 512
struct fdt_cgroup {
	struct fdt_head head; /* variable length: head.size says how long */
	__u32 inner_pid;      /* as the process itself sees it; 0: not known */
	__u32 pad;
	char cgroup[];
};

struct fdt_fops {
	struct fdt_head head;
	__u32 detail;  /* as in struct fdt_file */
	__u32 fd_kind; /* enum fd_kind (src/model/kind.h); values are part of the ABI */
};

struct fdt_meta {
	struct fdt_head head;
	char text[]; /* key=value */
};

/*
 * flags of struct fdt_site_frame. Its language (fdtrace/language.h) is a number of 8 bits: the
 * lowest is bit 0, the others are bits 8 to 14. Bit 0 alone is Python.
 */
#define FDT_SITE_FRAME_OF(language) (((language)&1u) | ((language)&0xfeu) << 7)
#define FDT_SITE_FRAME_LANGUAGE(flags) (((flags)&1u) | ((flags) >> 7 & 0xfeu))
#define FDT_SITE_FRAME_SYSTEM 2   /* C library, dynamic linker, the inside of an interpreter */
#define FDT_SITE_FRAME_LIBRARY 4  /* the standard library of a language */
#define FDT_SITE_FRAME_INLINED 8  /* has no stack frame of its own */
#define FDT_SITE_FRAME_GUESSED 16 /* found by the frame pointer only (code made at run time) */

/*
 * One frame, resolved. identity is the same on every host and in every run: of file and function
 * in a language that has a number (so it outlives a rebuild of the interpreter), of build-id and
 * offset in native code; 0: it has none (code made at run time).
 */
struct fdt_site_frame {
	__u64 identity;
	__u16 flags;
	__u16 text_size; /* bytes of text */
	__u32 pad;
	/* "function (file:line)" or "function (module+0xoffset)", any byte; padded to 8 bytes */
	char text[];
};

/* head.flags of SITE */
#define FDT_SITE_CUT 1            /* frames are missing at the outer end */
#define FDT_SITE_NO_INTERPRETED 2 /* an interpreter's program, but this thread had no such frames */
#define FDT_SITE_FINALIZER 4      /* below a finalizer or deallocator of the interpreter */
#define FDT_SITE_COLLECTOR 8      /* below its garbage collector */
#define FDT_SITE_AT_EXIT 16       /* while the interpreter was ending */
#define FDT_SITE_UNKNOWN_BUILD 32 /* an interpreter whose frames cannot be read */

/* Sent before the first event whose site is this hash, and again once more of it is known. */
struct fdt_site {
	struct fdt_head head; /* of the task whose stack it was */
	__u64 hash;
	__u16 frame_count;     /* frames that follow, innermost first */
	__u16 frames_left_out; /* in the middle, to save room */
	__u16 left_out_at;     /* index of the first frame behind the gap */
	__u16 pad;
};

#define FDT_SIZE_MAX 16384 /* no record of the stream is longer */

#define FDT_SIZE_IS(type, bytes) \
	_Static_assert(sizeof(struct type) == (bytes), #type " changed its size: raise FDT_ABI")
#define FDT_EVENT_SIZE_IS(NAME, number, type, bytes) \
	FDT_SIZE_IS(type, bytes);                    \
	_Static_assert((number) < FDT_EVENT_KINDS, "FDT_" #NAME ": raise FDT_EVENT_KINDS");
FDT_EVENTS(FDT_EVENT_SIZE_IS)
#undef FDT_EVENT_SIZE_IS
/* and what stands in them */
FDT_SIZE_IS(fdt_file, 32);
FDT_SIZE_IS(fdt_site_frame, 16);
FDT_SIZE_IS(fdt_registration, 16);

#endif
