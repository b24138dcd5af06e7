/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The part of the kernel's types that fdtrace reads, cut by hand.
 *
 * A generated vmlinux.h has 130,000 lines and belongs to one kernel. This one holds only the
 * members that the programs in bpf/ touch; where they really lie is looked up in the running
 * kernel's BTF when the programs are loaded (CO-RE), so offsets, order and neighbours here mean
 * nothing, names and types do. `make check-vmlinux` compares all of it with the running kernel.
 *
 * Adding something: copy the member's declaration from the kernel, keep the struct's tag. A
 * member that some supported kernel lacks must be guarded with bpf_core_field_exists() and be
 * listed in tests/vmlinux/check.c.
 *
 * The few constants below are user-space ABI or helper ABI and never change.
 */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __s64 loff_t;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef int pid_t;
typedef unsigned int uid_t;
typedef unsigned int dev_t;
typedef unsigned short umode_t;
typedef _Bool bool;
enum { false = 0, true = 1 };

/* linux/bpf.h */
enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
	BPF_F_NO_PREALLOC = 1,
	BPF_F_MMAPABLE = 1024,
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
	BPF_RB_AVAIL_DATA = 0,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* include/linux/fs.h */
struct super_block {
	dev_t s_dev;
	unsigned long s_magic;
};

/* include/linux/types.h, rbtree_types.h */
struct list_head {
	struct list_head *next;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first; /* used to read any one pointer, too */
};

struct rb_node;
struct rb_root {
	struct rb_node *rb_node;
};

struct rb_root_cached {
	struct rb_root rb_root;
};

struct address_space {
	struct rb_root_cached i_mmap;
};

/* include/linux/filelock.h; before 6.3 in fs.h */
struct file_lock_context {
	struct list_head flc_flock;
	struct list_head flc_posix;
	struct list_head flc_lease;
};

struct pipe_inode_info;
struct inode {
	umode_t i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
	const unsigned int i_nlink;
	struct pipe_inode_info *i_pipe;
	loff_t i_size;
	struct address_space *i_mapping;
	struct file_lock_context *i_flctx;
};

/* include/linux/dcache.h, list_bl.h, path.h */
struct hlist_bl_node {
	struct hlist_bl_node **pprev;
};

struct qstr {
	u64 hash_len; /* the length in the upper half */
	const unsigned char *name;
};

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	const struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

/* fs/mount.h */
struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

/* include/linux/pipe_fs_i.h, wait.h */
struct wait_queue_head {
	struct list_head head;
};
typedef struct wait_queue_head wait_queue_head_t;

struct pipe_inode_info {
	wait_queue_head_t rd_wait;
	unsigned int readers;
	unsigned int writers;
};

struct file_operations;
struct file {
	const struct file_operations *f_op;
	void *private_data;
	struct inode *f_inode;
	unsigned int f_flags;
	const struct path f_path;
	loff_t f_pos;
	struct hlist_head *f_ep; /* since 5.11 */
};

/* fs/eventpoll.c */
struct eventpoll {
	struct file *file;
};

struct epoll_filefd {
	int fd;
};

struct epitem {
	struct epoll_filefd ffd;
	struct eventpoll *ep;
	struct hlist_node fllink; /* a list_head before 5.11 */
};

/* include/linux/fdtable.h */
struct fdtable {
	unsigned int max_fds;
	struct file **fd;
	unsigned long *close_on_exec;
	unsigned long *open_fds;
};

struct files_struct {
	struct fdtable *fdt;
};

/* include/net/sock.h, include/linux/net.h */
struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct socket;
struct sock {
	struct sock_common __sk_common;
	struct socket *sk_socket;
	u16 sk_protocol;
	u16 sk_type;
	u32 sk_ack_backlog;
	u32 sk_max_ack_backlog;
};

struct socket {
	struct sock *sk;
};

struct socket_alloc {
	struct socket socket;
	struct inode vfs_inode;
};

/* include/linux/tcp.h, include/net/af_unix.h */
struct tcp_sock {
	u32 copied_seq;
	u32 rcv_nxt;
	u32 lsndtime;
};

/* include/net/inet_connection_sock.h */
struct inet_connection_sock {
	struct {
		__u32 lrcvtime;
	} icsk_ack;
};

struct sockaddr_un {
	char sun_path[108];
};

struct unix_address {
	int len;
	struct sockaddr_un name[0];
};

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	uid_t val;
} kuid_t;

/* include/linux/cred.h, resource.h, mm_types.h */
struct cred {
	kuid_t uid;
};

struct rlimit {
	unsigned long rlim_cur;
};

struct signal_struct {
	atomic_t live;
	struct rlimit rlim[16];
};

struct file;
struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;
	unsigned long vm_flags;
	unsigned long vm_pgoff;
	struct file *vm_file;
};

#if defined(__TARGET_ARCH_x86)
/* arch/x86/include/asm/mmu.h */
typedef struct {
	void *vdso;
} mm_context_t;
#endif

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
#if defined(__TARGET_ARCH_x86)
	mm_context_t context;
#endif
};

/* arch/ARCH/include/asm/processor.h: where the C library keeps its thread's own data */
#if defined(__TARGET_ARCH_x86)
struct thread_struct {
	unsigned long fsbase;
};
#endif

/* include/linux/sched.h */
struct thread_info {
	unsigned long flags;
#if defined(__TARGET_ARCH_x86)
	u32 status;
#endif
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	struct mm_struct *mm;
	int exit_code;
	pid_t pid;
	pid_t tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	u64 start_boottime;
	const struct cred *real_cred;
	char comm[16];
	struct files_struct *files;
	struct signal_struct *signal;
#if defined(__TARGET_ARCH_x86)
	struct thread_struct thread;
#endif
};

/* include/linux/binfmts.h */
struct linux_binprm {
	const char *filename;
	const char *interp;
	struct file *file;
};

/* include/linux/io_uring_types.h and io_uring/: a request begins with what its opcode needs */
struct io_ring_ctx {
	unsigned int compat : 1;
};

struct io_kiocb {
	struct file *file;
	u8 opcode;
	struct io_ring_ctx *ctx;
};

struct user_msghdr;

struct io_sr_msg {
	struct user_msghdr *umsg;
};

struct io_rw {
	u64 addr;
};

struct io_uring_cqe {
	s32 res;
};

struct io_open {
	u32 file_slot;
};

struct io_accept {
	u32 file_slot;
};

struct io_socket {
	u32 file_slot;
};

struct io_close {
	int fd;
	u32 file_slot;
};

struct io_pipe {
	int *fds;
	int file_slot;
};

/* include/linux/bpf.h: iterators */
struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

/* arch/ARCH/include/asm/ptrace.h */
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r15;
	unsigned long r14;
	unsigned long r13;
	unsigned long r12;
	unsigned long r11;
	unsigned long ax;
	unsigned long ip;
	unsigned long sp;
	unsigned long r10;
	unsigned long r9;
	unsigned long r8;
	unsigned long bp;
	unsigned long bx;
	unsigned long cx;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	u64 regs[31];
	u64 orig_x0;
	s32 syscallno;
	u64 sp;
};
#else
#error "fdtrace knows the registers of x86 and arm64 only"
#endif

#pragma clang attribute pop

#endif
