import assert from 'node:assert/strict'
import { test } from 'node:test'
import { callerByCertificate } from './forwarded-principal.ts'

const of = (value: string | undefined) =>
  callerByCertificate(value === undefined ? {} : { 'x-forwarded-client-cert': value })

test('the URI of the last element is who calls', () => {
  const web = 'spiffe://cluster.local/ns/shop/sa/web'
  assert.equal(of(`By=spiffe://cluster.local/ns/a/sa/b;Hash=0a;Subject="";URI=${web}`), web)
  assert.equal(of(`Hash=0b;URI=spiffe://cluster.local/ns/x/sa/other,Hash=0a;URI=${web}`), web)
  assert.equal(of(`Hash=0a;Subject="CN=a,URI=spiffe://evil/x;b";URI=${web};DNS=a.b`), web)
})

test('what a client wrote inside a subject or an earlier element is not who calls', () => {
  assert.equal(of('Hash=0a;Subject="CN=x,URI=spiffe://evil/x"'), undefined)
  assert.equal(of('URI=spiffe://evil/x,Hash=0a'), undefined)
  assert.equal(of('By=spiffe://cluster.local/ns/a/sa/b;Hash=0a'), undefined)
  assert.equal(of(''), undefined)
  assert.equal(of(undefined), undefined)
})
