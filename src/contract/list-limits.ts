/** Apart from the schemas, which workers need not load. */

/** A repair's lists end here; totals count all, and get_repair pages through the rest. */
export const repairListMax = 1_000;
