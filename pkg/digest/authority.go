package digest

import (
	"crypto/subtle"
	"strconv"
	"strings"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
)

// Verdict is what an Authority thinks of an Authorization header. The zero Verdict is Missing, so that
// one that was never set lets nobody in.
type Verdict uint8

// The verdicts. All but OK are answered by a challenge; all look alike to the caller, except that Stale
// and Replayed set stale=true, since their answer was right.
const (
	// Missing: there is no answer for this realm.
	Missing Verdict = iota
	// OK: the user proved the password.
	OK
	// Stale: the right password on a nonce that is too old, or was issued by an earlier process.
	Stale
	// Replayed: the right password, but the nonce count did not grow.
	Replayed
	// WrongPassword: the user exists, the answer does not fit.
	WrongPassword
	// UnknownUser: there is no such user. The work done is that of WrongPassword.
	UnknownUser
	// Malformed: the answer cannot be read, or is not for the challenge that was given.
	Malformed
)

var verdicts = [...]string{"missing", "ok", "stale", "replayed", "wrong password", "unknown user", "malformed"}

// String is the verdict in an operator's words.
func (v Verdict) String() string {
	if int(v) < len(verdicts) {
		return verdicts[v]
	}
	return "verdict(" + strconv.Itoa(int(v)) + ")"
}

// Renew says that the challenge for this verdict should have stale=true: the phone has the right
// password and tries again without asking its user.
func (v Verdict) Renew() bool { return v == Stale || v == Replayed }

// Options are what an Authority guards and how.
type Options struct {
	// Realm is what the passwords belong to. Required; without quotes, backslashes and control
	// characters. It stays the same on every address of the server, or phones ask for new passwords.
	Realm string
	// Algorithm is MD5 or SHA256. Empty means MD5, the only one that all phones know.
	Algorithm string
	// NonceLife is how long an answer may use a nonce. Zero means 5 minutes.
	NonceLife time.Duration
	// Nonces bounds the used nonces that are remembered, about 60 bytes each. Zero means 262144. When
	// more are used within a lifetime, older ones become stale early.
	Nonces int
}

// EnsureDefaults fills in what is zero.
func (o *Options) EnsureDefaults() {
	if o.Algorithm == "" {
		o.Algorithm = MD5
	}
	if o.NonceLife == 0 {
		o.NonceLife = 5 * time.Minute
	}
	if o.Nonces == 0 {
		o.Nonces = 1 << 18
	}
}

// Validate says what is wrong with the options.
func (o *Options) Validate() error {
	const op = "set up digest"
	switch {
	case o.Realm == "" || strings.ContainsAny(o.Realm, `"\`) || !clean(o.Realm):
		return fault.New(op, fault.Invalid, "realm", "must be text without quotes or backslashes")
	case hashes[o.Algorithm].size == 0:
		return fault.New(op, fault.Invalid, "algorithm "+o.Algorithm, "must be MD5 or SHA-256")
	case o.NonceLife < 0 || o.Nonces < 0:
		return fault.New(op, fault.Invalid, "nonces", "life and number must not be negative")
	}
	return nil
}

// Authority asks for passwords and checks the answers. Its key is made at its start: nonces of an
// earlier process are stale. It is safe for concurrent use and never blocks for long.
type Authority struct {
	options Options
	hash    hash
	mint    *mint
	used    *ledger
	dummy   string // HA1 of nobody
}

// New makes an Authority.
func New(o Options) (*Authority, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	h := hashes[o.Algorithm]
	return &Authority{
		options: o,
		hash:    h,
		mint:    newMint(),
		used:    newLedger(o.NonceLife, max(1, o.Nonces/2)),
		dummy:   strings.Repeat("0", h.size),
	}, nil
}

// Realm is what the passwords belong to.
func (a *Authority) Realm() string { return a.options.Realm }

// Algorithm is the one that is asked for; HA1s are needed in it.
func (a *Authority) Algorithm() string { return a.options.Algorithm }

// Challenge is the value of a WWW-Authenticate or Proxy-Authenticate header with a new nonce. A 401
// carries exactly one: clients give up when a second one names what they do not know.
func (a *Authority) Challenge(now time.Time, stale bool) string {
	var b strings.Builder
	b.Grow(128)
	b.WriteString(`Digest realm="`)
	b.WriteString(a.options.Realm)
	b.WriteString(`", nonce="`)
	b.WriteString(a.mint.issue(now))
	b.WriteString(`", algorithm=`)
	b.WriteString(a.options.Algorithm)
	b.WriteString(`, qop="auth"`)
	if stale {
		b.WriteString(`, stale=true`)
	}
	return b.String()
}

// Check judges the value of an Authorization header of a request with this method. Lookup finds the HA1
// of a user (see [HA1]) in the Authority's algorithm and realm; it is called once, for readable answers
// only, and should take the same time for users that do not exist. The user is the one who claims to
// call, proven only if the verdict is OK.
func (a *Authority) Check(
	now time.Time, authorization, method string, lookup func(username string) (ha1 string, ok bool),
) (user string, verdict Verdict) {
	return a.CheckURI(now, authorization, method, "", lookup)
}

// CheckURI is Check for a request whose Request-URI is known: an answer that was made for another user
// part is Malformed, so that it cannot be taken from one call and spent on a dearer one. Hosts and
// parameters are not compared, as many phones and every NAT in between change them.
func (a *Authority) CheckURI(
	now time.Time, authorization, method, requestURI string, lookup func(username string) (ha1 string, ok bool),
) (user string, verdict Verdict) {
	if authorization == "" {
		return "", Missing
	}
	p, err := parse(authorization)
	switch {
	case err != nil:
		return "", Malformed
	case p.realm != a.options.Realm:
		return p.username, Missing
	}
	count, ok := a.readable(&p)
	if !ok || requestURI != "" && !sameUser(p.uri, requestURI) {
		return p.username, Malformed
	}
	return p.username, a.judge(now, &p, method, count, lookup)
}

// readable checks the form of an answer to our challenges. Without qop there is no nonce count, hence
// no protection from replay: it is not accepted.
func (a *Authority) readable(p *params) (count uint32, ok bool) {
	switch {
	case p.username == "", p.nonce == "", p.uri == "", p.cnonce == "", len(p.nc) != 8,
		!strings.EqualFold(p.qop, "auth"), len(p.response) != a.hash.size,
		p.algorithm != "" && !strings.EqualFold(p.algorithm, a.options.Algorithm),
		p.algorithm == "" && a.options.Algorithm != MD5:
		return 0, false
	}
	n, err := strconv.ParseUint(p.nc, 16, 32)
	return uint32(n), err == nil
}

// judge does the same work for all answers until it is known that the password is right.
func (a *Authority) judge(
	now time.Time, p *params, method string, count uint32, lookup func(string) (string, bool),
) Verdict {
	ha1, known := lookup(p.username)
	if !known || len(ha1) != a.hash.size {
		ha1, known = a.dummy, false
	}
	s, ours := a.mint.open(p.nonce)
	want := a.hash.response(ha1, method, p)
	right := subtle.ConstantTimeCompare(want, []byte(strings.ToLower(p.response))) == 1
	age := now.Sub(time.Unix(0, s.issued()))
	switch {
	case !known:
		return UnknownUser
	case !right:
		return WrongPassword
	case !ours || age > a.options.NonceLife || age < -a.options.NonceLife:
		return Stale
	}
	return a.used.use(now, s, count)
}

// sameUser compares the user parts of two URIs. A URI without one fits any: some phones answer for the
// domain alone.
func sameUser(a, b string) bool {
	ua, ub := userPart(a), userPart(b)
	return ua == "" || ub == "" || ua == ub
}

func userPart(uri string) string {
	_, rest, ok := strings.Cut(uri, ":")
	if !ok {
		return ""
	}
	user, _, ok := strings.Cut(rest, "@")
	if !ok {
		return ""
	}
	user, _, _ = strings.Cut(user, ";")
	user, _, _ = strings.Cut(user, ":")
	return user
}
