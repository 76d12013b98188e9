/** What the processes of `bench rsocket` have to agree on. */

/** Under which name the HTTP application is called. */
export const HTTP_SERVICE = 'echo.bench'
