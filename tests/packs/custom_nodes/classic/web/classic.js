export const classic = true;
