/* Wall and CPU time of a program's timed sections, run by run, printed as one line of JSON:
 *
 *   {"count": 20100, "sections": {"dispatch": {"wall": [0.021, ...], "cpu": [0.021, ...]}}}
 */
#ifndef STOPWATCH_H
#define STOPWATCH_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct stopwatch {
	const char *name;
	int runs;
	double *wall, *cpu; /* seconds, a place a run */
};

static double seconds_of(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static void stopwatch_init(struct stopwatch *watch, const char *name, int most_runs)
{
	watch->name = name;
	watch->runs = 0;
	watch->wall = calloc(most_runs, sizeof(double));
	watch->cpu = calloc(most_runs, sizeof(double));
}

static void stopwatch_start(struct stopwatch *watch)
{
	watch->cpu[watch->runs] = -seconds_of(CLOCK_PROCESS_CPUTIME_ID);
	watch->wall[watch->runs] = -seconds_of(CLOCK_MONOTONIC);
}

static void stopwatch_stop(struct stopwatch *watch)
{
	watch->wall[watch->runs] += seconds_of(CLOCK_MONOTONIC);
	watch->cpu[watch->runs] += seconds_of(CLOCK_PROCESS_CPUTIME_ID);
	watch->runs++;
}

static void print_list(const char *name, const double *values, int count)
{
	int i;
	printf("\"%s\": [", name);
	for (i = 0; i < count; i++)
		printf("%s%.9f", i ? ", " : "", values[i]);
	printf("]");
}

/* `count` is how much work one run has done. */
static void print_report(long count, const struct stopwatch *watches, int sections)
{
	int i;
	printf("{\"count\": %ld, \"sections\": {", count);
	for (i = 0; i < sections; i++) {
		printf("%s\"%s\": {", i ? ", " : "", watches[i].name);
		print_list("wall", watches[i].wall, watches[i].runs);
		printf(", ");
		print_list("cpu", watches[i].cpu, watches[i].runs);
		printf("}");
	}
	printf("}}\n");
}

#endif
