// The status that a request deserves, for nginx with njs.
import crypto from 'crypto'

function verdict(r) {
  const token = r.args.auth || r.variables.cookie_auth
  const parts = (token || '').split('.')
  if (parts.length !== 3) return '401'
  try {
    const header = JSON.parse(Buffer.from(parts[0], 'base64url'))
    if (header.alg !== 'HS256') return '401'
    const signature = crypto
      .createHmac('sha256', process.env.JWT_SECRET)
      .update(`${parts[0]}.${parts[1]}`)
      .digest('base64url')
    if (signature !== parts[2]) return '401'
    const claims = JSON.parse(Buffer.from(parts[1], 'base64url'))
    if (!(claims.exp > Date.now() / 1000)) return '401'
    const binds = (name) =>
      (r.args[name] === undefined && !r.args.auth) || r.args[name] === claims[name]
    return binds('userId') && binds('sessionId') ? '200' : '403'
  } catch (e) {
    return '401'
  }
}

export default { verdict }
