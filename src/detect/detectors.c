// SPDX-License-Identifier: BSD-2-Clause
#include "detect/detectors.h"

const struct detector *const detectors_all[DETECTOR_COUNT + 1] = {
#define DETECTOR_ROW(NAME, name) [DETECTOR_##NAME] = &detector_##name,
	DETECTORS(DETECTOR_ROW)
#undef DETECTOR_ROW
};

unsigned int detectors_needs(rule_set rules)
{
	unsigned int needs = 0;

	for (const struct detector *const *d = detectors_all; *d; d++)
		if ((*d)->rules & rules)
			needs |= (*d)->needs | (*d)->kinds;
	return needs;
}

rule_set detectors_served(unsigned int needs)
{
	rule_set served = 0;

	for (const struct detector *const *d = detectors_all; *d; d++)
		if (!(((*d)->needs | (*d)->kinds) & ~needs))
			served |= (*d)->rules;
	return served;
}
