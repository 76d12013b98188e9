/** The two pages, as text. Pure; everything that is not ours is escaped. */

export interface Details {
  readonly author: string
  readonly year: number
  readonly type: string
  readonly pages: number
  readonly publisher: string
  readonly language: string
  readonly 'ISBN-10': string
  readonly 'ISBN-13': string
}

export interface Reviews {
  readonly podname: string
  readonly reviews: readonly Review[]
}

export interface Review {
  readonly reviewer: string
  readonly text: string
  readonly rating?: { readonly stars?: number; readonly color?: string; readonly error?: string }
}

/** What another service answered; without a value it failed with `status`. */
export interface Part<T> {
  readonly status: number
  readonly value?: T
}

export interface ProductPage {
  readonly product: { readonly title: string; readonly descriptionHtml: string } | undefined
  readonly details: Part<Details>
  readonly reviews: Part<Reviews>
  readonly user: string | undefined
}

export function renderHome(): string {
  return page(
    'Bookstore',
    `<main><h1>Bookstore</h1>
<p>A small shop of four services, each behind its own sidecar.</p>
<p><a class="button" href="/productpage">To the book</a></p></main>`,
  )
}

export function renderProductPage({ product, details, reviews, user }: ProductPage): string {
  return page(
    product?.title ?? 'Bookstore',
    `<header><a href="/productpage">Bookstore</a>${renderUser(user)}</header>
<main>
<h1>${escapeHtml(product?.title ?? '')}</h1>
<p class="summary">${product?.descriptionHtml ?? ''}</p>
<div class="parts">
<section><h2>Book Details</h2>${renderDetails(details)}</section>
<section><h2>Book Reviews</h2>${renderReviews(reviews)}</section>
</div>
</main>`,
  )
}

function renderUser(user: string | undefined): string {
  if (user !== undefined) {
    return `<span>Hello, <b>${escapeHtml(user)}</b> · <a href="/logout">sign out</a></span>`
  }
  return `<form method="post" action="/login">
<input name="username" placeholder="user name, e.g. jason" required pattern="[\\w.@\\-]{1,64}">
<button>Sign in</button></form>`
}

function renderDetails({ value }: Part<Details>): string {
  if (value === undefined) return sorry('Sorry, product details are currently unavailable.')
  const rows = [
    ['Author', value.author],
    ['Year', value.year],
    ['Type', value.type],
    ['Pages', value.pages],
    ['Publisher', value.publisher],
    ['Language', value.language],
    ['ISBN-10', value['ISBN-10']],
    ['ISBN-13', value['ISBN-13']],
  ]
  const cells = rows.map(([name, text]) => `<dt>${name}</dt><dd>${escapeHtml(String(text))}</dd>`)
  return `<dl>${cells.join('')}</dl>`
}

function renderReviews({ value }: Part<Reviews>): string {
  if (value === undefined) return sorry('Sorry, product reviews are currently unavailable.')
  const items = value.reviews.map(
    ({ reviewer, text, rating }) =>
      `<blockquote><p>${escapeHtml(text)}</p>${renderStars(rating)}<footer>${escapeHtml(reviewer)}</footer></blockquote>`,
  )
  return `${items.join('\n')}<p class="served">Reviews served by <b>${escapeHtml(value.podname)}</b></p>`
}

function renderStars(rating: Review['rating']): string {
  if (rating === undefined) return ''
  if (rating.stars === undefined) return sorry(rating.error ?? 'no rating')
  const stars = '★'.repeat(rating.stars) + '☆'.repeat(5 - rating.stars)
  return `<p class="stars ${rating.color === 'red' ? 'red' : 'black'}" aria-label="${rating.stars} of 5">${stars}</p>`
}

function sorry(text: string): string {
  return `<p class="sorry">${escapeHtml(text)}</p>`
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<link rel="stylesheet" href="/static/bookstore.css">
</head>
<body>
${body}
</body>
</html>
`
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
