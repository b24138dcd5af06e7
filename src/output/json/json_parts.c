// SPDX-License-Identifier: BSD-2-Clause
/* The objects of the Elastic Common Schema that several datasets have. */
#include "output/json/json_build.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/finding.h"
#include "base/hash.h"
#include "model/process.h"
#include "util/container.h"
#include "output/json/json_text.h"
#include "output/text/phrase.h"
#include "util/hostinfo.h"
#include "util/redact.h"

#define ECS_VERSION "8.11.0"
#define ADDRESS_MAX 64

void json_put_ecs(struct builder *b, json_t *line)
{
	json_put_text(b, json_put_object(b, line, "ecs"), "version", ECS_VERSION);
}

void json_put_host(struct builder *b, json_t *line)
{
	json_t *host = json_put_object(b, line, "host");

	json_put_text(b, host, "name", b->host->host_name);
	json_put_text(b, host, "id", b->host->host_id);
	if (b->host->boot_id[0])
		json_put_text(b, json_put_object(b, host, "boot"), "id", b->host->boot_id);
}

/* Arguments with blanks between them, as ECS has it; where each one ends is no longer visible. */
static void put_command_line(struct builder *b, json_t *process, const struct process *p)
{
	char *text = p->args ? redact_arguments(b->redaction, p->args, p->args_size) : NULL;

	b->failed |= p->args && !text;
	if (text && text[0]) {
		json_put(b, process, "command_line", json_text_new(text, strlen(text)));
		json_note_command(&b->parts, process, "command_line");
	}
	free(text);
}

/*
 * start counts from boot and includes time asleep; the wall clock is known relative to a clock
 * that does not: after a suspend process.start is late by the time asleep. entity_id is
 * made from the number itself and stays exact.
 */
static void put_start(struct builder *b, json_t *process, const struct process *p)
{
	uint64_t hash;

	if (!p->start_ns)
		return;
	json_put_time(b, process, "start", p->start_ns);
	hash = hash_text(hash_text(HASH_START, b->host->host_id), b->host->boot_id);
	hash = hash_number(hash_number(hash, p->pid), p->start_ns);
	json_put_format(b, process, "entity_id", "%016" PRIx64, hash);
}

void json_put_process(struct builder *b, json_t *line, const struct process *p)
{
	json_t *process;

	if (!p)
		return;
	process = json_put_object(b, line, "process");
	json_put_number(b, process, "pid", p->pid);
	json_put_text(b, process, "name", p->name);
	json_put_text(b, process, "executable", p->exe);
	put_command_line(b, process, p);
	put_start(b, process, p);
	if (p->parent_pid)
		json_put_number(b, json_put_object(b, process, "parent"), "pid", p->parent_pid);
	json_put_format(b, json_put_object(b, process, "user"), "id", "%" PRIu32, p->uid);
}

/* orchestrator.* is ECS; Elastic's own agents add kubernetes.pod.uid. */
static void put_pod(struct builder *b, json_t *line, const char *uid)
{
	json_t *orchestrator = json_put_object(b, line, "orchestrator"), *resource;

	json_put_text(b, orchestrator, "type", "kubernetes");
	resource = json_put_object(b, orchestrator, "resource");
	json_put_text(b, resource, "type", "pod");
	json_put_text(b, resource, "id", uid);
	json_put_text(b, json_put_object(b, json_put_object(b, line, "kubernetes"), "pod"), "uid",
		      uid);
}

void json_put_workload(struct builder *b, json_t *line, const struct process *p)
{
	struct container c;
	json_t *container;

	if (!p || !p->cgroup)
		return;
	container_parse_path(p->cgroup, strlen(p->cgroup), &c);
	if (c.unit[0])
		json_put_text(b, json_put_object(b, line, "service"), "name", c.unit);
	if (c.id[0]) {
		container = json_put_object(b, line, "container");
		json_put_text(b, container, "id", c.id);
		json_put_text(b, container, "runtime", c.runtime);
	}
	if (c.pod_uid[0])
		put_pod(b, line, c.pod_uid);
}

void json_put_cgroup(struct builder *b, json_t *fdtrace, const struct process *p)
{
	if (!p || !p->cgroup)
		return;
	json_put_text(b, fdtrace, "cgroup", p->cgroup);
	if (p->inner_pid && p->inner_pid != p->pid)
		json_put_number(b, fdtrace, "pid_in_container", p->inner_pid);
}

static bool is_network(enum fd_kind kind)
{
	return kind == FD_KIND_TCP || kind == FD_KIND_UDP || kind == FD_KIND_UNIX;
}

static bool is_file(enum fd_kind kind)
{
	return kind >= FD_KIND_FILE && kind <= FD_KIND_PIPE;
}

struct endpoint {
	char address[ADDRESS_MAX];
	unsigned int port;
};

/* "10.0.0.5:80", "[::1]:80", up to the next blank. Returns what follows, or NULL. */
static const char *parse_endpoint(const char *text, struct endpoint *ret)
{
	size_t length = strcspn(text, " "), host = length, port = 0, digits;

	while (host && text[host - 1] != ':')
		host--;
	digits = length - host;
	if (host < 2 || !digits || digits > 5 || strspn(text + host, "0123456789") < digits)
		return NULL;
	for (size_t i = host; i < length; i++)
		port = port * 10 + (size_t)(text[i] - '0');
	host--;
	if (text[0] == '[' && text[host - 1] == ']') {
		text++;
		host -= 2;
		length--;
	}
	if (port > 65535 || !host || host >= ADDRESS_MAX)
		return NULL;
	memcpy(ret->address, text, host);
	ret->address[host] = '\0';
	ret->port = (unsigned int)port;
	return text + length;
}

struct connection {
	struct endpoint local, peer;
	bool has_peer;
	const char *state; /* "" if the name has none */
};

/* The names of sockets: "LOCAL", "LOCAL -> PEER", either with a state after it. */
static bool parse_connection(const char *name, struct connection *ret)
{
	const char *next = parse_endpoint(name, &ret->local);

	ret->has_peer = next && !strncmp(next, " -> ", 4);
	if (ret->has_peer)
		next = parse_endpoint(next + 4, &ret->peer);
	if (!next)
		return false;
	ret->state = next + strspn(next, " ");
	return !strchr(ret->state, ' ');
}

static void put_endpoint(struct builder *b, json_t *network, const char *key,
			 const struct endpoint *e)
{
	json_t *object = json_put_object(b, network, key);

	json_put_text(b, object, "address", e->address);
	json_put_number(b, object, "port", e->port);
}

/* "NAME", or "-> NAME" of the peer. */
static void put_unix(struct builder *b, json_t *network, const char *name)
{
	bool peers = !strncmp(name, "-> ", 3);

	if (!name[0])
		return;
	json_put_text(b, json_put_object(b, network, peers ? "peer" : "local"), "address",
		      peers ? name + 3 : name);
}

static void put_network(struct builder *b, json_t *line, const struct descriptor *d)
{
	json_t *network = json_put_object(b, line, "network");
	const char *name = phrase_name(d->kind, d->name), *state = phrase_tcp_state(d);
	struct connection c = { 0 };

	json_put_text(b, network, "transport", fd_kind_name(d->kind));
	if (d->kind == FD_KIND_UNIX) {
		put_unix(b, network, name);
		return;
	}
	if (parse_connection(name, &c)) {
		put_endpoint(b, network, "local", &c.local);
		if (c.has_peer)
			put_endpoint(b, network, "peer", &c.peer);
		if (!state && c.state[0])
			state = c.state;
	}
	if (state)
		json_put_text(b, json_put_object(b, network, "connection"), "state", state);
}

void json_put_target(struct builder *b, json_t *line, const struct descriptor *d)
{
	json_t *file;

	if (d->fd < 0)
		return;
	if (is_network(d->kind)) {
		put_network(b, line, d);
		return;
	}
	if (!is_file(d->kind) || (!d->name && !d->file.inode))
		return;
	file = json_put_object(b, line, "file");
	if (d->name && d->name[0] == '/')
		json_put_text(b, file, "path", d->name);
	if (d->file.inode)
		json_put_format(b, file, "inode", "%" PRIu64, (uint64_t)d->file.inode);
}

void json_put_target_name(struct builder *b, json_t *fdtrace, const struct descriptor *d)
{
	const char *name = phrase_name(d->kind, d->name);
	struct connection c = { 0 };

	if (d->kind == FD_KIND_UNIX || (is_file(d->kind) && name[0] == '/'))
		return;
	if ((d->kind == FD_KIND_TCP || d->kind == FD_KIND_UDP) && parse_connection(name, &c))
		return;
	json_put_text(b, fdtrace, "name", name);
}

void json_put_detail(struct builder *b, json_t *fdtrace, const struct descriptor *d)
{
	const struct fdt_detail *detail = d->detail;
	json_t *socket;

	if (d->fd < 0 || !detail || !(detail->facts & FDT_FACT_TCP || detail->peer_inode))
		return;
	socket = json_put_object(b, fdtrace, "socket");
	if (detail->peer_inode)
		json_put_format(b, socket, "peer_inode", "%" PRIu64, (uint64_t)detail->peer_inode);
	if (!(detail->facts & FDT_FACT_TCP))
		return;
	json_put_number(b, socket, "unread_bytes", detail->unread_bytes);
	if (detail->backlog_max)
		json_put_number(b, socket, "backlog", detail->backlog);
	if (detail->backlog_max)
		json_put_number(b, socket, "backlog_max", detail->backlog_max);
}
