export const trial = true;
