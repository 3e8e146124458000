// ldapjs over entries in memory: `node ldapjs_host.js ENTRIES.json`. Its first line is the port on loopback.
//
// Filters, DNs and messages are ldapjs's own; it knows no schema, lists no controls, and has no operational attributes.
'use strict'
const fs = require('fs')
const ldap = require('ldapjs')

const entries = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'))
const [suffix] = Object.keys(entries)
const plain = (dn) => dn.toString().toLowerCase().replace(/\s*,\s*/g, ',').replace(/\s*=\s*/g, '=')
const known = new Map(Object.entries(entries).map(([dn, attributes]) => [plain(dn), { dn, attributes }]))
const server = ldap.createServer()

function named (req, next) {
  const entry = known.get(plain(req.dn))
  if (!entry) next(new ldap.NoSuchObjectError(req.dn.toString()))
  return entry
}

function key (attributes, type) {
  return Object.keys(attributes).find((name) => name.toLowerCase() === type.toLowerCase()) || type
}

server.bind(suffix, (req, res, next) => {
  const entry = known.get(plain(req.dn))
  if (!entry || !(entry.attributes.userPassword || []).includes(req.credentials)) {
    return next(new ldap.InvalidCredentialsError())
  }
  res.end()
  return next()
})

server.search(suffix, (req, res, next) => {
  if (!named(req, next)) return
  const base = plain(req.dn)
  for (const [dn, { dn: name, attributes }] of known) {
    const below = dn === base ? 0 : dn.endsWith(',' + base) ? dn.slice(0, -base.length - 1).split(',').length : -1
    const within = { base: below === 0, one: below === 1, sub: below >= 0 }[req.scope]
    if (within && req.filter.matches(attributes)) res.send({ dn: name, attributes })
  }
  res.end()
  return next()
})

server.modify(suffix, (req, res, next) => {
  const entry = named(req, next)
  if (!entry) return
  const changed = { ...entry.attributes }
  for (const { operation, modification } of req.changes) {
    const type = key(changed, modification.type)
    const values = modification.vals || modification.values
    const before = changed[type] || []
    let after
    if (operation === 'add') {
      if (values.some((value) => before.includes(value))) return next(new ldap.AttributeOrValueExistsError(type))
      after = before.concat(values)
    } else if (operation === 'delete') {
      if (!before.length || values.some((value) => !before.includes(value))) {
        return next(new ldap.NoSuchAttributeError(type))
      }
      after = values.length ? before.filter((value) => !values.includes(value)) : []
    } else {
      after = values
    }
    if (after.length) changed[type] = after
    else delete changed[type]
  }
  entry.attributes = changed
  res.end()
  return next()
})

server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`))
