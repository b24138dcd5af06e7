// SPDX-License-Identifier: BSD-2-Clause
/*
 * check FILE.bpf.o: are vmlinux/vmlinux.h's types those of the running kernel?
 *
 * The object's own BTF says what its programs were compiled against. Every structure in it that
 * is not ours (fdt_...) must be in the kernel's BTF under the same name, and each member must be
 * there with a compatible type. Exit status 0: all is well; 1: differences, one a line; 2: the
 * check could not be made.
 */
#include <bpf/btf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define OURS "fdt_"

/* May be absent: the code asks bpf_core_field_exists() before it reads them. */
static const char *const guarded[] = {
	"io_open.file_slot",
	"io_accept.file_slot",
	"io_socket.file_slot",
	"io_close.file_slot",
	"file.f_ep", /* 5.11 */
	"io_pipe.fds",
	"io_pipe.file_slot",
	"sock_common.skc_v6_daddr",
	"sock_common.skc_v6_rcv_saddr", /* CONFIG_IPV6 */
};

struct check {
	const struct btf *ours, *kernel;
	unsigned int structs, members, absent, wrong;
};

static bool is_guarded(const char *name)
{
	for (size_t i = 0; i < sizeof(guarded) / sizeof(*guarded); i++)
		if (!strcmp(name, guarded[i]))
			return true;
	return false;
}

static const char *name_of(const struct btf *btf, const struct btf_type *type)
{
	return btf__name_by_offset(btf, type->name_off);
}

/* What a type really is, behind typedefs and qualifiers. */
static const struct btf_type *resolve(const struct btf *btf, __u32 id)
{
	const struct btf_type *type = btf__type_by_id(btf, id);

	while (btf_is_mod(type) || btf_is_typedef(type))
		type = btf__type_by_id(btf, type->type);
	return type;
}

/* The member of that name, also inside anonymous structures and unions. */
static const struct btf_member *find_member(const struct btf *btf, const struct btf_type *type,
					    const char *name)
{
	const struct btf_member *member = btf_members(type);

	for (unsigned int i = 0; i < btf_vlen(type); i++, member++) {
		const char *its = btf__name_by_offset(btf, member->name_off);
		const struct btf_type *inner = resolve(btf, member->type);
		const struct btf_member *found = NULL;

		if (!strcmp(its, name))
			return member;
		if (!*its && btf_is_composite(inner))
			found = find_member(btf, inner, name);
		if (found)
			return found;
	}
	return NULL;
}

static bool same_type(const struct check *c, __u32 ours, __u32 kernels);

/* Structures without a name are compared by what is in them. */
static bool same_anonymous(const struct check *c, const struct btf_type *ours,
			   const struct btf_type *kernels)
{
	const struct btf_member *member = btf_members(ours);

	for (unsigned int i = 0; i < btf_vlen(ours); i++, member++) {
		const struct btf_member *other = find_member(
			c->kernel, kernels, btf__name_by_offset(c->ours, member->name_off));

		if (!other || !same_type(c, member->type, other->type))
			return false;
	}
	return true;
}

static bool is_structure(const struct btf_type *type)
{
	return btf_is_composite(type) || btf_is_fwd(type);
}

static bool same_structure(const struct check *c, const struct btf_type *ours,
			   const struct btf_type *kernels)
{
	const char *name = name_of(c->ours, ours), *flavour = strstr(name, "___");
	size_t length = flavour ? (size_t)(flavour - name) : strlen(name);
	const char *other = name_of(c->kernel, kernels);

	if (!is_structure(kernels))
		return false;
	if (!*name && btf_is_composite(ours) && btf_is_composite(kernels))
		return same_anonymous(c, ours, kernels);
	return strlen(other) == length && !strncmp(name, other, length);
}

/* Pointers to plain types read the same whatever they point to; those to structures do not. */
static bool same_target(const struct check *c, __u32 ours, __u32 kernels)
{
	const struct btf_type *a = resolve(c->ours, ours), *b = resolve(c->kernel, kernels);

	return !is_structure(a) || same_structure(c, a, b);
}

static bool same_array(const struct check *c, const struct btf_type *ours,
		       const struct btf_type *kernels)
{
	return btf_array(ours)->nelems <= btf_array(kernels)->nelems &&
	       same_type(c, btf_array(ours)->type, btf_array(kernels)->type);
}

static bool same_type(const struct check *c, __u32 ours, __u32 kernels)
{
	const struct btf_type *a = resolve(c->ours, ours), *b = resolve(c->kernel, kernels);

	if (btf_is_ptr(a))
		return btf_is_ptr(b) && same_target(c, a->type, b->type);
	if (btf_is_array(a))
		return btf_is_array(b) && same_array(c, a, b);
	if (is_structure(a))
		return same_structure(c, a, b);
	return (btf_is_int(b) || btf_is_any_enum(b)) && a->size == b->size;
}

static void check_member(struct check *c, const char *structure, const struct btf_type *kernels,
			 const struct btf_member *member)
{
	char name[128];
	const char *its = btf__name_by_offset(c->ours, member->name_off);
	const struct btf_member *other = kernels ? find_member(c->kernel, kernels, its) : NULL;

	snprintf(name, sizeof(name), "%s.%s", structure, its);
	c->members++;
	if (other && same_type(c, member->type, other->type))
		return;
	if (!other && is_guarded(name)) {
		printf("absent, and guarded: %s\n", name);
		c->absent++;
		return;
	}
	printf("%s: %s\n", name,
	       other ? "has another type in this kernel" : "is not in this kernel");
	c->wrong++;
}

static void check_structure(struct check *c, const struct btf_type *ours)
{
	char name[96];
	char *flavour;
	const struct btf_member *member = btf_members(ours);
	int id;

	snprintf(name, sizeof(name), "%s", name_of(c->ours, ours));
	flavour = strstr(name, "___");
	if (flavour)
		*flavour = '\0';
	id = btf__find_by_name_kind(c->kernel, name, btf_kind(ours));
	c->structs++;
	for (unsigned int i = 0; i < btf_vlen(ours); i++, member++)
		check_member(c, name, id > 0 ? btf__type_by_id(c->kernel, (__u32)id) : NULL,
			     member);
}

static void check_all(struct check *c)
{
	for (__u32 id = 1; id < btf__type_cnt(c->ours); id++) {
		const struct btf_type *type = btf__type_by_id(c->ours, id);
		const char *name = name_of(c->ours, type);

		if (btf_is_composite(type) && *name && strncmp(name, OURS, strlen(OURS)))
			check_structure(c, type);
	}
}

int main(int argc, char **argv)
{
	struct check c = { 0 };

	if (argc != 2) {
		fprintf(stderr, "usage: check FILE.bpf.o\n");
		return 2;
	}
	c.ours = btf__parse(argv[1], NULL);
	c.kernel = c.ours ? btf__load_vmlinux_btf() : NULL;
	if (!c.kernel) {
		fprintf(stderr, "check: cannot read BTF of %s: %s\n",
			c.ours ? "the kernel" : argv[1], strerror(errno));
		return 2;
	}
	check_all(&c);
	printf("%u structures, %u members, %u absent but guarded, %u different\n", c.structs,
	       c.members, c.absent, c.wrong);
	if (!c.structs)
		fprintf(stderr, "check: no kernel structure in %s: nothing was checked\n", argv[1]);
	return c.wrong || !c.structs;
}
