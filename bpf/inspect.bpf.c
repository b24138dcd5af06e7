// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What one open file is like at this moment, asked for by user space: an iterator over the one
 * task that writes a struct fdt_detail to whoever reads it. Everything is read, nothing is
 * locked: the facts of a socket in motion may be a moment apart.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include "fdtrace/event.h"
#include "fdtrace/loader.h"

const volatile bool can_cast; /* never set: this is asked too seldom to be worth the casts */
#define CURRENT bpf_get_current_task_btf()
#include "verifier.bpf.h"
#include "compat.bpf.h"
#include "file.bpf.h"

char LICENSE[] SEC("license") = "GPL";

struct fdt_query query;
const volatile u64 jiffy_ns; /* one tick of the timer; 0: not known */

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define IPPROTO_TCP 6
#define TCP_CLOSE 7
#define TCP_CLOSE_WAIT 8
#define TCP_LAST_ACK 9
#define TCP_LISTEN 10
#define TCP_CLOSING 11
#define S_IFIFO 0010000
#define S_IFREG 0100000
#define WATCHES_MAX 64 /* epolls counted for one file */
#define TMPFS_MAGIC 0x01021994
#define HUGETLBFS_MAGIC 0x958458f6

static __always_inline void read_ports(struct fdt_detail *out, struct sock *sock)
{
	out->local_port = BPF_CORE_READ(sock, __sk_common.skc_num);
	out->peer_port = bpf_ntohs(BPF_CORE_READ(sock, __sk_common.skc_dport));
}

static __always_inline void read_ipv4(struct fdt_detail *out, struct sock *sock)
{
	read_ports(out, sock);
	BPF_CORE_READ_INTO((__be32 *)out->local, sock, __sk_common.skc_rcv_saddr);
	BPF_CORE_READ_INTO((__be32 *)out->peer, sock, __sk_common.skc_daddr);
}

static __always_inline void read_ipv6(struct fdt_detail *out, struct sock *sock)
{
	if (!bpf_core_field_exists(sock->__sk_common.skc_v6_daddr))
		return;
	read_ports(out, sock);
	BPF_CORE_READ_INTO((struct in6_addr *)out->local, sock, __sk_common.skc_v6_rcv_saddr);
	BPF_CORE_READ_INTO((struct in6_addr *)out->peer, sock, __sk_common.skc_v6_daddr);
}

static __always_inline bool has_peer_ended(u32 state)
{
	return state == TCP_CLOSE || state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK ||
	       state == TCP_CLOSING;
}

/*
 * Both are set when a connection begins, and by each segment with data. As tcp_jiffies32 they come
 * round after 49 days (at 1000 Hz); one that is zero was never set: the socket never was connected.
 */
static __always_inline void read_tcp_idle(struct fdt_detail *out, struct sock *sock)
{
	u32 received = BPF_CORE_READ((struct inet_connection_sock *)sock, icsk_ack.lrcvtime);
	u32 sent = BPF_CORE_READ((struct tcp_sock *)sock, lsndtime);
	u32 now = bpf_jiffies64(), since_received = now - received, since_sent = now - sent;

	if (!jiffy_ns || (!received && !sent))
		return;
	if (!received || (sent && since_sent < since_received))
		since_received = since_sent;
	out->facts |= FDT_FACT_IDLE;
	out->idle_ns = since_received * jiffy_ns;
}

/* The two counters are read one after the other: copied_seq first, lest it pass rcv_nxt. */
static __always_inline void read_tcp(struct fdt_detail *out, struct sock *sock)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sock;
	s32 unread;

	out->facts |= FDT_FACT_TCP;
	if (out->state == TCP_LISTEN) {
		out->backlog = BPF_CORE_READ(sock, sk_ack_backlog);
		out->backlog_max = BPF_CORE_READ(sock, sk_max_ack_backlog);
		return;
	}
	unread = -BPF_CORE_READ(tcp, copied_seq);
	unread += BPF_CORE_READ(tcp, rcv_nxt);
	if (has_peer_ended(out->state)) /* the FIN counts as one until it has been read */
		unread--;
	out->unread_bytes = unread > 0 ? unread : 0;
	read_tcp_idle(out, sock);
}

/* The length counts the family, too: 2 bytes before the path. */
static __always_inline void read_unix_name(struct fdt_detail *out, struct unix_sock *sock)
{
	struct unix_address *address = BPF_CORE_READ(sock, addr);
	u32 size = address ? (u32)BPF_CORE_READ(address, len) - 2 : 0;

	if (!size)
		return;
	OPAQUE(size); /* one test of two ends older verifiers (6.1) do not understand */
	if (size > sizeof(address->name[0].sun_path))
		return;
	if (bpf_probe_read_kernel(out->name, size, &address->name[0].sun_path))
		return;
	out->name_size = size;
}

static __always_inline u64 socket_inode(struct sock *sock)
{
	struct socket_alloc *both = (struct socket_alloc *)BPF_CORE_READ(sock, sk_socket);

	return both ? BPF_CORE_READ(both, vfs_inode.i_ino) : 0;
}

static __always_inline void read_unix(struct fdt_detail *out, struct sock *sock)
{
	struct sock *peer = BPF_CORE_READ((struct unix_sock *)sock, peer);

	out->facts |= FDT_FACT_UNIX;
	read_unix_name(out, (struct unix_sock *)sock);
	if (!peer)
		return;
	out->peer_inode = socket_inode(peer);
	if (out->name_size)
		return;
	out->facts |= FDT_FACT_PEER_NAME;
	read_unix_name(out, (struct unix_sock *)peer);
}

static __always_inline void read_socket(struct fdt_detail *out, struct sock *sock)
{
	u32 family = FDT_SOCK_FAMILY(out->file.detail);

	out->facts |= FDT_FACT_SOCKET;
	out->state = BPF_CORE_READ(sock, __sk_common.skc_state);
	if (family == AF_UNIX)
		read_unix(out, sock);
	else if (family == AF_INET)
		read_ipv4(out, sock);
	else if (family == AF_INET6)
		read_ipv6(out, sock);
	else
		return;
	if (family != AF_UNIX && FDT_SOCK_TYPE(out->file.detail) == SOCK_STREAM &&
	    FDT_SOCK_PROTOCOL(out->file.detail) == IPPROTO_TCP)
		read_tcp(out, sock);
}

static __always_inline bool is_filled(struct list_head *list)
{
	struct list_head *first = BPF_CORE_READ(list, next);

	return first && first != list;
}

static __always_inline void read_pipe(struct fdt_detail *out, struct inode *inode)
{
	struct pipe_inode_info *pipe = BPF_CORE_READ(inode, i_pipe);

	if (!pipe)
		return;
	out->facts |= FDT_FACT_PIPE;
	out->readers = BPF_CORE_READ(pipe, readers);
	out->writers = BPF_CORE_READ(pipe, writers);
	if (is_filled(&pipe->rd_wait.head))
		out->facts |= FDT_FACT_WAITED;
}

/* As d_unlinked() has it. A memfd's name hangs alone: no file of a mounted tmpfs looks so. */
static __always_inline void read_entry(struct fdt_detail *out, struct file *file)
{
	static const char memfd[] = "memfd:";
	struct dentry *entry = BPF_CORE_READ(file, f_path.dentry);
	char name[sizeof(memfd)] = {};

	if (BPF_CORE_READ(entry, d_parent) != entry) {
		if (!BPF_CORE_READ(entry, d_hash.pprev))
			out->facts |= FDT_FACT_UNLINKED;
		return;
	}
	if (out->file.magic != TMPFS_MAGIC && out->file.magic != HUGETLBFS_MAGIC)
		return;
	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(entry, d_name.name));
	for (u32 i = 0; i < sizeof(memfd) - 1; i++)
		if (name[i] != memfd[i])
			return;
	out->facts |= FDT_FACT_MEMFD;
}

static __always_inline bool is_locked(struct inode *inode)
{
	struct file_lock_context *locks = BPF_CORE_READ(inode, i_flctx);

	return locks && (is_filled(&locks->flc_posix) || is_filled(&locks->flc_flock) ||
			 is_filled(&locks->flc_lease));
}

static __always_inline void read_regular(struct fdt_detail *out, struct inode *inode)
{
	out->facts |= FDT_FACT_REGULAR;
	out->size = BPF_CORE_READ(inode, i_size);
	if (BPF_CORE_READ(inode, i_mapping, i_mmap.rb_root.rb_node))
		out->facts |= FDT_FACT_MAPPED;
	if (is_locked(inode))
		out->facts |= FDT_FACT_LOCKED;
}

static __always_inline void read_registration(struct fdt_registration *out, struct epitem *item)
{
	out->epoll = (u64)BPF_CORE_READ(item, ep, file);
	out->fd = BPF_CORE_READ(item, ffd.fd);
}

static __always_inline struct epitem *item_of(u64 node)
{
	return (struct epitem *)(node - bpf_core_field_offset(struct epitem, fllink));
}

/* Each epoll that watches the file has one item in its list for each number it was given. */
static __always_inline void read_registrations(struct fdt_detail *out, struct file *file)
{
	struct hlist_head *items;
	u64 node;

	if (!bpf_core_field_exists(file->f_ep))
		return;
	items = BPF_CORE_READ(file, f_ep);
	node = items ? (u64)BPF_CORE_READ(items, first) : 0;
	for (u32 i = 0; i < WATCHES_MAX && node; i++) {
		if (i < FDT_REGISTRATIONS_MAX)
			read_registration(&out->registrations[i], item_of(node));
		out->registration_count = i + 1;
		node = (u64)BPF_CORE_READ((struct hlist_node *)node, next);
	}
	if (out->registration_count)
		out->facts |= FDT_FACT_WATCHED;
}

static __always_inline void read_mark(struct fdt_detail *out, u64 table)
{
	struct fdtable *fdt = BPF_CORE_READ((struct files_struct *)table, fdt);
	u64 word = (u64)BPF_CORE_READ(fdt, close_on_exec) + query.fd / 64 * sizeof(u64);

	if (load_pointer(false, word) >> (query.fd % 64) & 1)
		out->facts |= FDT_FACT_CLOEXEC;
}

static __always_inline void read_details(struct fdt_detail *out, struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct socket *socket = BPF_CORE_READ(file, private_data);
	u32 type = out->file.mode & S_IFMT;
	struct sock *sock;

	out->position = BPF_CORE_READ(file, f_pos);
	out->links = BPF_CORE_READ(inode, i_nlink);
	if (type == S_IFIFO)
		read_pipe(out, inode);
	if (type == S_IFREG)
		read_regular(out, inode);
	read_registrations(out, file);
	if (type != S_IFSOCK || out->file.magic != SOCKFS_MAGIC) {
		read_entry(out, file);
		return;
	}
	sock = socket ? BPF_CORE_READ(socket, sk) : NULL;
	if (sock)
		read_socket(out, sock);
}

SEC("iter/task")
int fdt_inspect(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct fdt_detail out = {};
	u64 table, file;

	if (!task || (u32)task->pid != query.tgid)
		return 0;
	table = (u64)BPF_CORE_READ(task, files);
	file = table ? slot_file(table, query.fd) : 0;
	if (!file)
		return 0;
	out.head.kind = FDT_DETAIL;
	out.head.size = sizeof(out);
	out.head.tgid = query.tgid;
	out.head.tid = query.tgid;
	out.head.table = table;
	out.fd = query.fd;
	describe_file(&out.file, file);
	read_mark(&out, table);
	read_details(&out, (struct file *)file);
	/* What has been closed meanwhile may have been another file's memory while it was read. */
	if (slot_file(table, query.fd) == file)
		bpf_seq_write(ctx->meta->seq, &out, sizeof(out));
	return 0;
}
