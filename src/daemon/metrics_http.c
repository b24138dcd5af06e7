// SPDX-License-Identifier: BSD-2-Clause
/*
 * One page over HTTP. A thread of its own polls a few connections; whatever a client does, it
 * occupies one connection for at most ten seconds, and no other client waits for it. What a client
 * sends after its first line is read and ignored.
 */
#include <errno.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/metrics.h"
#include "util/error.h"

#define CONNECTIONS 32
#define REQUEST_BYTES 4096
#define LIFE_MS 10000
#define REST_MS 1000 /* after accept() failed: trying again at once would fail, too */
#define BACKLOG 128

/* What was published; readable with a reference. */
struct page {
	unsigned int refs; /* under server->lock */
	size_t length;
	char text[];
};

enum stage { RECEIVING, SENDING, LINGERING };

struct connection {
	int fd;
	enum stage stage;
	int64_t end_ms; /* when it is closed at the latest */
	size_t got;     /* of request */
	char request[REQUEST_BYTES + 1];
	char head[512]; /* of the answer, and a short body */
	size_t head_length, sent;
	struct page *page; /* the body; NULL: only what is in head */
};

struct metrics_server {
	pthread_t thread;
	bool is_running;      /* the thread; only for its owner */
	pthread_mutex_t lock; /* page and all refs */
	struct page *page;    /* NULL: nothing has been published */
	int listener, stop;
	char address[64];
	/* of the thread */
	int64_t rest_until_ms; /* accept nothing until then */
	unsigned int count;
	struct connection *connections[CONNECTIONS];
};

static int64_t now_ms(void)
{
	return (int64_t)(clock_monotonic_ns() / MSEC_NS);
}

static void page_unref(struct metrics_server *s, struct page *page)
{
	bool last;

	if (!page)
		return;
	pthread_mutex_lock(&s->lock);
	last = --page->refs == 0;
	pthread_mutex_unlock(&s->lock);
	if (last)
		free(page);
}

static struct page *page_current(struct metrics_server *s)
{
	struct page *page;

	pthread_mutex_lock(&s->lock);
	page = s->page;
	if (page)
		page->refs++;
	pthread_mutex_unlock(&s->lock);
	return page;
}

void metrics_server_publish(struct metrics_server *s, const char *text, size_t length)
{
	struct page *page = malloc(sizeof(*page) + length), *before;

	if (!page)
		return;
	page->refs = 1;
	page->length = length;
	memcpy(page->text, text, length);
	pthread_mutex_lock(&s->lock);
	before = s->page;
	s->page = page;
	pthread_mutex_unlock(&s->lock);
	page_unref(s, before);
}

/* --- the answer --- */

struct answer {
	const char *status, *type, *more; /* more: another header, "\r\n" included */
	const char *body;                 /* short; NULL: the page */
};

#define PLAIN "text/plain; charset=utf-8"
#define EXPOSITION "text/plain; version=0.0.4; charset=utf-8"

static const struct answer metrics_answer = { "200 OK", EXPOSITION, "", NULL };
static const struct answer index_answer = {
	"200 OK", "text/html; charset=utf-8", "",
	"<!DOCTYPE html><title>fdtrace</title><p>fdtrace: <a href=\"/metrics\">/metrics</a>\n"
};
static const struct answer malformed = { "400 Bad Request", PLAIN, "", "bad request\n" };
static const struct answer not_found = { "404 Not Found", PLAIN, "", "not found; try /metrics\n" };
static const struct answer not_allowed = { "405 Method Not Allowed", PLAIN, "Allow: GET, HEAD\r\n",
					   "GET and HEAD only\n" };
static const struct answer too_large = { "431 Request Header Fields Too Large", PLAIN, "",
					 "request too large\n" };
static const struct answer too_early = { "503 Service Unavailable", PLAIN, "Retry-After: 1\r\n",
					 "no measurements yet\n" };
static const struct answer other_version = { "505 HTTP Version Not Supported", PLAIN, "",
					     "HTTP/1.1 only\n" };

static void prepare_polls(struct metrics_server *s, struct connection *c,
			  const struct answer *answer, bool with_body)
{
	char date[64] = "";
	time_t now = time(NULL);
	struct tm utc;
	size_t length;

	c->page = answer->body ? NULL : page_current(s);
	if (!answer->body && !c->page)
		answer = &too_early;
	length = answer->body ? strlen(answer->body) : c->page->length;
	if (gmtime_r(&now, &utc)) /* fdtrace stays in the C locale */
		strftime(date, sizeof(date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc);
	c->head_length = (size_t)snprintf(c->head, sizeof(c->head),
					  "HTTP/1.1 %s\r\n%sContent-Type: %s\r\n%s"
					  "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
					  answer->status, date, answer->type, answer->more, length,
					  with_body && answer->body ? answer->body : "");
	if (!with_body) {
		page_unref(s, c->page);
		c->page = NULL;
	}
	c->stage = SENDING;
}

/* --- the request --- */

/* "METHOD target HTTP/1.x", its parts NUL-terminated in place. */
struct request_line {
	char *method, *target, *version;
};

static bool split_request_line(char *line, struct request_line *ret)
{
	char *first = strchr(line, ' '), *last = first ? strchr(first + 1, ' ') : NULL;

	if (!last || first == line || last == first + 1 || strchr(last + 1, ' '))
		return false;
	*first = *last = '\0';
	*ret = (struct request_line){ line, first + 1, last + 1 };
	return true;
}

static const struct answer *check_request_line(const struct request_line *line)
{
	if (strncmp(line->version, "HTTP/", 5) != 0)
		return &malformed;
	if (strcmp(line->version, "HTTP/1.1") != 0 && strcmp(line->version, "HTTP/1.0") != 0)
		return &other_version;
	if (strcmp(line->method, "GET") != 0 && strcmp(line->method, "HEAD") != 0)
		return &not_allowed;
	line->target[strcspn(line->target, "?")] = '\0';
	if (strcmp(line->target, "/metrics") == 0)
		return &metrics_answer;
	return strcmp(line->target, "/") == 0 ? &index_answer : &not_found;
}

/* The first line is complete; `end` is its newline. A NUL in it ends it early. */
static void answer_line(struct metrics_server *s, struct connection *c, char *end)
{
	const struct answer *answer = &malformed;
	struct request_line line = { .method = c->request };

	if (end > c->request && end[-1] == '\r')
		end--;
	*end = '\0';
	if (strlen(c->request) == (size_t)(end - c->request) &&
	    split_request_line(c->request, &line))
		answer = check_request_line(&line);
	prepare_polls(s, c, answer, strcmp(line.method, "HEAD") != 0);
}

/* The headers are ignored, but the answer waits for the empty line after them. */
static bool has_ended(const char *line_end)
{
	return strstr(line_end, "\n\r\n") || strstr(line_end, "\n\n");
}

/* Anything but HTTP/1 is refused without waiting for headers: a client of HTTP/0.9 sends none. */
static bool is_hopeless(const char *request, const char *end)
{
	const char *version = memmem(request, (size_t)(end - request), " HTTP/1.", 8);

	return !version || memchr(request, '\0', (size_t)(end - request));
}

static void look_at_request(struct metrics_server *s, struct connection *c)
{
	char *end = memchr(c->request, '\n', c->got);

	c->request[c->got] = '\0';
	if (end && (is_hopeless(c->request, end) || has_ended(end)))
		answer_line(s, c, end);
	else if (c->got == REQUEST_BYTES)
		prepare_polls(s, c, &too_large, true);
}

/* --- connections --- */

static void connection_free(struct metrics_server *s, struct connection *c)
{
	page_unref(s, c->page);
	close(c->fd);
	free(c);
}

/* False: the connection is done. */
static bool receive_request(struct metrics_server *s, struct connection *c)
{
	ssize_t got = recv(c->fd, c->request + c->got, REQUEST_BYTES - c->got, 0);

	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	c->got += (size_t)got;
	if (got)
		look_at_request(s, c);
	return got || c->stage != RECEIVING;
}

/*
 * Closing a socket with unread data would reset the connection, and the client
 * might not see the answer, so what it still sends is read and dropped.
 */
static bool linger_connection(struct connection *c)
{
	ssize_t got = recv(c->fd, c->request, REQUEST_BYTES, 0);

	return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

static ssize_t send_rest(struct connection *c)
{
	size_t of_page = c->sent > c->head_length ? c->sent - c->head_length : 0;
	size_t of_head = c->sent < c->head_length ? c->sent : c->head_length;
	struct iovec parts[2] = {
		{ c->head + of_head, c->head_length - of_head },
		{ c->page ? c->page->text + of_page : NULL,
		  c->page ? c->page->length - of_page : 0 },
	};
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

	return sendmsg(c->fd, &message, MSG_NOSIGNAL);
}

static bool transmit_answer(struct connection *c)
{
	ssize_t sent = send_rest(c);

	if (sent < 0)
		return errno == EAGAIN || errno == EINTR;
	c->sent += (size_t)sent;
	if (c->sent < c->head_length + (c->page ? c->page->length : 0))
		return true;
	c->stage = LINGERING;
	return shutdown(c->fd, SHUT_WR) == 0;
}

static bool serve_connection(struct metrics_server *s, struct connection *c)
{
	switch (c->stage) {
	case RECEIVING: return receive_request(s, c);
	case SENDING: return transmit_answer(c);
	default: return linger_connection(c);
	}
}

/* Memory or descriptors ran out for now; until that changes, new connections wait. */
static void accept_one(struct metrics_server *s, int64_t now)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct connection *c = fd < 0 ? NULL : calloc(1, sizeof(*c));

	if (!c) {
		if (fd >= 0)
			close(fd);
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED))
			s->rest_until_ms = now + REST_MS;
		return;
	}
	c->fd = fd;
	c->end_ms = now + LIFE_MS;
	s->connections[s->count++] = c;
}

/* --- the thread --- */

#define POLL_STOP 0
#define POLL_LISTENER 1
#define POLL_FIRST 2

/* Fills the list. Returns how long to wait at most; -1: for ever. */
static int poll_list(const struct metrics_server *s, struct pollfd *list, int64_t now)
{
	bool rests = now < s->rest_until_ms;
	int64_t end = rests ? s->rest_until_ms : INT64_MAX;

	list[POLL_STOP] = (struct pollfd){ .fd = s->stop, .events = POLLIN };
	list[POLL_LISTENER] =
		(struct pollfd){ .fd = rests || s->count == CONNECTIONS ? -1 : s->listener,
				 .events = POLLIN };
	for (unsigned int i = 0; i < s->count; i++) {
		const struct connection *c = s->connections[i];

		list[POLL_FIRST + i] =
			(struct pollfd){ .fd = c->fd,
					 .events = c->stage == SENDING ? POLLOUT : POLLIN };
		end = c->end_ms < end ? c->end_ms : end;
	}
	if (end == INT64_MAX)
		return -1;
	return end > now ? (int)(end - now) : 0;
}

static void serve_all(struct metrics_server *s, const struct pollfd *list, int64_t now)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < s->count; i++) {
		struct connection *c = s->connections[i];
		bool lives = now < c->end_ms;

		if (lives && list[POLL_FIRST + i].revents)
			lives = serve_connection(s, c);
		if (lives)
			s->connections[kept++] = c;
		else
			connection_free(s, c);
	}
	s->count = kept;
}

static void *run_server(void *ctx)
{
	struct pollfd list[POLL_FIRST + CONNECTIONS];
	struct metrics_server *s = ctx;

	for (;;) {
		int wait_ms = poll_list(s, list, now_ms());
		int64_t now;

		if (poll(list, POLL_FIRST + s->count, wait_ms) < 0)
			continue; /* all signals are blocked here: only if out of memory */
		if (list[POLL_STOP].revents)
			return NULL;
		now = now_ms();
		serve_all(s, list, now);
		if (list[POLL_LISTENER].revents && s->count < CONNECTIONS)
			accept_one(s, now);
	}
}

/* --- start and stop --- */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* "a:1" or "[a]:1": cuts *ret_host out of the buffer. False: neither. */
static bool split_address(char *text, bool *ret_v6, char **ret_host, unsigned int *ret_port)
{
	char *colon = strrchr(text, ':'), *end;
	unsigned long port;

	if (!colon || colon[1] < '0' || colon[1] > '9')
		return false;
	port = strtoul(colon + 1, &end, 10);
	if (*end || port > 65535)
		return false;
	*colon = '\0';
	*ret_port = (unsigned int)port;
	*ret_v6 = text[0] == '[';
	*ret_host = text + *ret_v6;
	if (!*ret_v6)
		return true;
	if (colon[-1] != ']')
		return false;
	colon[-1] = '\0';
	return true;
}

static int parse_address(const char *listen, union address *ret_address, socklen_t *ret_length)
{
	char text[64], *host;
	unsigned int port;
	bool is_v6;

	if ((size_t)snprintf(text, sizeof(text), "%s", listen) >= sizeof(text) ||
	    !split_address(text, &is_v6, &host, &port))
		return -EINVAL;
	memset(ret_address, 0, sizeof(*ret_address));
	*ret_length = is_v6 ? sizeof(ret_address->v6) : sizeof(ret_address->v4);
	ret_address->any.sa_family = is_v6 ? AF_INET6 : AF_INET;
	if (is_v6)
		ret_address->v6.sin6_port = htons((uint16_t)port);
	else
		ret_address->v4.sin_port = htons((uint16_t)port);
	return inet_pton(ret_address->any.sa_family, host,
			 is_v6 ? (void *)&ret_address->v6.sin6_addr
			       : (void *)&ret_address->v4.sin_addr) == 1
		       ? 0
		       : -EINVAL;
}

static bool is_loopback_address(const union address *address)
{
	if (address->any.sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
	return ntohl(address->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

/* The descriptor or -errno. */
static int open_listener(const union address *address, socklen_t length)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1, err;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    (address->any.sa_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on))) ||
	    bind(fd, &address->any, length) || listen(fd, BACKLOG)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static void name_address(struct metrics_server *s)
{
	union address address;
	socklen_t length = sizeof(address);
	char host[INET6_ADDRSTRLEN] = "";
	bool is_v6;

	if (getsockname(s->listener, &address.any, &length))
		return;
	is_v6 = address.any.sa_family == AF_INET6;
	inet_ntop(address.any.sa_family,
		  is_v6 ? (void *)&address.v6.sin6_addr : (void *)&address.v4.sin_addr, host,
		  sizeof(host));
	snprintf(s->address, sizeof(s->address), is_v6 ? "[%s]:%u" : "%s:%u", host,
		 ntohs(is_v6 ? address.v6.sin6_port : address.v4.sin_port));
}

/* Signals are handled by the main thread. */
static int start_thread(struct metrics_server *s)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&s->thread, NULL, run_server, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

static void server_free(struct metrics_server *s)
{
	for (unsigned int i = 0; i < s->count; i++)
		connection_free(s, s->connections[i]);
	page_unref(s, s->page);
	pthread_mutex_destroy(&s->lock);
	if (s->stop >= 0)
		close(s->stop);
	close(s->listener);
	free(s);
}

/* Takes ownership of the listener. */
static int server_new(int listener, struct metrics_server **ret_server)
{
	struct metrics_server *s = calloc(1, sizeof(*s));
	int err;

	if (!s) {
		close(listener);
		return -ENOMEM;
	}
	pthread_mutex_init(&s->lock, NULL);
	s->listener = listener;
	s->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	name_address(s);
	err = s->stop < 0 ? -errno : 0;
	if (err)
		server_free(s);
	else
		*ret_server = s;
	return err;
}

static int refuse_address(const char *listen, struct error *t)
{
	error_set(t, EINVAL, EXIT_USAGE, "cannot serve metrics at '%.64s': invalid address",
		  listen);
	return error_explain(t, "it must be a numeric address, a colon and a port",
			     "for example: 127.0.0.1:9893 or [::1]:9893");
}

static int refuse_remote(const char *listen, struct error *t)
{
	error_set(t, EPERM, EXIT_USAGE, "cannot serve metrics at '%.64s': not a loopback address",
		  listen);
	return error_explain(t, "anyone who can reach a non-loopback address could read",
			     "listen on 127.0.0.1 or [::1], or set metrics.remote: true");
}

static int explain_listen_error(const char *listen, int err, struct error *t)
{
	const char *cause = "", *remedy = "";

	if (err == -EADDRINUSE) {
		cause = "another program listens on it, perhaps another fdtrace";
		remedy = "find it by: ss -tlnp; or choose another port for the metrics";
	} else if (err == -EADDRNOTAVAIL) {
		cause = "no network interface has that address";
	}
	error_set(t, -err, EXIT_CANNOT, "cannot serve metrics at '%.64s': %s", listen,
		  strerror(-err));
	return error_explain(t, cause, remedy);
}

int metrics_server_open(const char *listen, bool remote, struct metrics_server **ret_server,
			struct error *error)
{
	union address address;
	socklen_t length;
	int err;

	if (parse_address(listen, &address, &length))
		return refuse_address(listen, error);
	if (!remote && !is_loopback_address(&address))
		return refuse_remote(listen, error);
	err = open_listener(&address, length);
	if (err >= 0)
		err = server_new(err, ret_server);
	return err ? explain_listen_error(listen, err, error) : 0;
}

int metrics_server_run(struct metrics_server *s, struct error *error)
{
	int err = start_thread(s);

	s->is_running = !err;
	return err ? error_set(error, -err, EXIT_INTERNAL, "cannot serve metrics at '%s': %s",
			       s->address, strerror(-err))
		   : 0;
}

const char *metrics_server_address(const struct metrics_server *server)
{
	return server->address;
}

void metrics_server_stop(struct metrics_server *s)
{
	if (!s)
		return;
	if (s->is_running) {
		eventfd_write(s->stop, 1);
		pthread_join(s->thread, NULL);
	}
	server_free(s);
}
