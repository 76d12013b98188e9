/** Where the types stand that filters are written against: a program prints them. */
export const FILTER_TYPES_FILE = new URL('./filter.ts', import.meta.url)
