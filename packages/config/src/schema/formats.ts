/** Texts with an inner form: durations, hosts, addresses … Each check says what is wrong, or nothing. */

export type FormatName = 'duration' | 'base64'
