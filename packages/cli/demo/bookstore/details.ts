/** Facts about a book. */
import { json, portFromEnvironment, startApp, versionFromEnvironment } from './app.ts'

startApp({
  service: 'details',
  version: versionFromEnvironment(),
  port: portFromEnvironment(),
  routes: [
    { method: 'GET', path: /^\/health$/, answer: () => json({ status: 'Details is healthy' }) },
    {
      method: 'GET',
      path: /^\/details\/(\d+)$/,
      answer: (_call, [id]) =>
        json({
          id: Number(id),
          author: 'William Shakespeare',
          year: 1595,
          type: 'paperback',
          pages: 200,
          publisher: 'PublisherA',
          language: 'English',
          'ISBN-10': '1234567890',
          'ISBN-13': '123-1234567890',
        }),
    },
    {
      method: 'GET',
      path: /^\/details\/(.*)$/,
      answer: () => json({ error: 'please provide numeric product id' }, 400),
    },
  ],
})
