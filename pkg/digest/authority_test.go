package digest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
)

const (
	realm    = "example.org"
	password = "correct horse"
	uri      = "sip:1001@example.org"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func authority(tb testing.TB, o Options) *Authority {
	tb.Helper()
	o.Realm = realm
	a, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// users knows 4001 alone.
func users(alg string) func(string) (string, bool) {
	ha1 := HA1(alg, "4001", realm, password)
	return func(user string) (string, bool) { return ha1, user == "4001" }
}

func answer(tb testing.TB, challenge, user, password string, nc uint32) string {
	tb.Helper()
	v, err := Answer(challenge, "INVITE", uri, user, password, nc, "0a4f113b")
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func TestChallenge(t *testing.T) {
	t.Parallel()
	a := authority(t, Options{})
	first, second := a.Challenge(start, false), a.Challenge(start, true)
	if !strings.HasPrefix(first, `Digest realm="example.org", nonce="`) || !strings.HasSuffix(first, `", algorithm=MD5, qop="auth"`) {
		t.Errorf("challenge %s", first)
	}
	if !strings.HasSuffix(second, `, qop="auth", stale=true`) {
		t.Errorf("stale challenge %s", second)
	}
	p1, err1 := parse(first)
	p2, err2 := parse(second)
	if err1 != nil || err2 != nil || p1.nonce == p2.nonce {
		t.Errorf("nonces of one instant: %q %v, %q %v", p1.nonce, err1, p2.nonce, err2)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{MD5, SHA256} {
		a := authority(t, Options{Algorithm: alg})
		other := authority(t, Options{Algorithm: alg})
		c := a.Challenge(start, false)
		good := answer(t, a.Challenge(start, false), "4001", password, 1)
		sub := func(old, neu string) string {
			if !strings.Contains(good, old) {
				t.Fatalf("no %s in %s", old, good)
			}
			return strings.Replace(good, old, neu, 1)
		}
		for _, k := range []struct {
			name, value string
			after       time.Duration
			user        string
			want        Verdict
		}{
			{"none", "", 0, "", Missing},
			{"other realm", answer(t, strings.Replace(c, realm, "example.com", 1), "4001", password, 1), 0, "4001", Missing},
			{"right", answer(t, c, "4001", password, 1), time.Second, "4001", OK},
			{"right, next count", answer(t, c, "4001", password, 2), time.Second, "4001", OK},
			{"same count", answer(t, c, "4001", password, 2), time.Second, "4001", Replayed},
			{"lower count", answer(t, c, "4001", password, 1), time.Second, "4001", Replayed},
			{"jump", answer(t, c, "4001", password, 900), 5 * time.Minute, "4001", OK},
			{"too old", answer(t, c, "4001", password, 901), 5*time.Minute + 1, "4001", Stale},
			{"from the future", answer(t, a.Challenge(start.Add(time.Hour), false), "4001", password, 1), 0, "4001", Stale},
			{"clock set back a little", answer(t, a.Challenge(start.Add(time.Minute), false), "4001", password, 1), 0, "4001", OK},
			{"nonce of an earlier process", answer(t, other.Challenge(start, false), "4001", password, 1), 0, "4001", Stale},
			{"made-up nonce", answer(t, `Digest realm="example.org", nonce="x", qop="auth", algorithm=`+alg, "4001", password, 1), 0, "4001", Stale},
			{"wrong password", answer(t, c, "4001", "wrong", 1), 0, "4001", WrongPassword},
			{"wrong password, too old", answer(t, c, "4001", "wrong", 1), time.Hour, "4001", WrongPassword},
			{"unknown user", answer(t, c, "4002", password, 1), 0, "4002", UnknownUser},
			{"unknown user, old nonce", answer(t, c, "4002", password, 1), time.Hour, "4002", UnknownUser},
			{"changed nonce", sub(`nonce="`, `nonce="A`), 0, "4001", WrongPassword},
			{"changed uri", sub("1001@", "1002@"), 0, "4001", WrongPassword},
			{"changed count", sub("nc=00000001", "nc=00000002"), 0, "4001", WrongPassword},
			{"not digest", "Basic YTpi", 0, "", Malformed},
			{"no qop", answer(t, strings.Replace(c, `, qop="auth"`, "", 1), "4001", password, 1), 0, "4001", Malformed},
			{"auth-int", sub("qop=auth", "qop=auth-int"), 0, "4001", Malformed},
			{"count no number", sub("nc=00000001", "nc=0000000g"), 0, "4001", Malformed},
			{"count too short", sub("nc=00000001", "nc=1"), 0, "4001", Malformed},
			{"other algorithm", sub("algorithm="+alg, "algorithm=MD5-sess"), 0, "4001", Malformed},
			{"no username", sub(`username="4001"`, `x="4001"`), 0, "", Malformed},
			{"no uri", sub(`uri=`, `x=`), 0, "4001", Malformed},
			{"no cnonce", sub(`cnonce=`, `x=`), 0, "4001", Malformed},
			{"short response", sub(`response="`, `response="a`), 0, "4001", Malformed},
			{"quoted and in capitals", strings.ReplaceAll(sub("qop=auth", `QOP="auth"`), "Digest", "DIGEST"), 0, "4001", OK},
		} {
			user, got := a.Check(start.Add(k.after), k.value, "INVITE", users(alg))
			if user != k.user || got != k.want {
				t.Errorf("%s, %s: %q %v, want %q %v", alg, k.name, user, got, k.user, k.want)
			}
		}
		if _, got := a.Check(start, answer(t, a.Challenge(start, false), "4001", password, 1), "BYE", users(alg)); got != WrongPassword {
			t.Errorf("%s, other method: %v", alg, got)
		}
	}
}

func TestCheckURI(t *testing.T) {
	t.Parallel()
	a := authority(t, Options{})
	for request, want := range map[string]Verdict{
		"sip:1001@192.0.2.1:5060;transport=udp": OK,
		"sips:1001;x=y@example.org":             OK,
		"sip:example.org":                       OK,
		"sip:1002@example.org":                  Malformed,
	} {
		value := answer(t, a.Challenge(start, false), "4001", password, 1)
		if _, got := a.CheckURI(start, value, "INVITE", request, users(MD5)); got != want {
			t.Errorf("%s: %v, want %v", request, got, want)
		}
	}
}

// Unknown users cost the same steps as known ones; an HA1 of another algorithm must not be compared
// with the dummy's length.
func TestUnknownUserCannotBeProven(t *testing.T) {
	t.Parallel()
	a := authority(t, Options{})
	p, err := parse(answer(t, a.Challenge(start, false), "4002", "x", 1))
	if err != nil {
		t.Fatal(err)
	}
	p.response = string(a.hash.response(a.dummy, "INVITE", &p))
	if _, got := a.Check(start, p.answer(), "INVITE", users(MD5)); got != UnknownUser {
		t.Errorf("who answers with the dummy HA1 is %v", got)
	}
	sha := func(string) (string, bool) { return HA1(SHA256, "4002", realm, "x"), true }
	if _, got := a.Check(start, answer(t, a.Challenge(start, false), "4002", "x", 1), "INVITE", sha); got != UnknownUser {
		t.Errorf("an HA1 of another algorithm gave %v", got)
	}
}

// A full table makes answers stale, never acceptable twice.
func TestFullLedgerNeverForgetsUnsafely(t *testing.T) {
	t.Parallel()
	a := authority(t, Options{Nonces: 8})
	values := make([]string, 40)
	now := start
	for i := range values {
		now = now.Add(time.Millisecond)
		values[i] = answer(t, a.Challenge(now, false), "4001", password, 1)
	}
	unused := answer(t, a.Challenge(start, false), "4001", password, 1)
	for i, v := range values {
		if _, got := a.Check(now, v, "INVITE", users(MD5)); got != OK {
			t.Fatalf("first use of %d: %v", i, got)
		}
	}
	for i, v := range values {
		if _, got := a.Check(now, v, "INVITE", users(MD5)); got != Stale && got != Replayed {
			t.Errorf("second use of %d: %v", i, got)
		}
	}
	if _, got := a.Check(now, unused, "INVITE", users(MD5)); got != Stale {
		t.Errorf("a nonce older than what was forgotten: %v", got)
	}
	if n := len(a.used.mu.young) + len(a.used.mu.old); n > 8 {
		t.Errorf("%d nonces remembered", n)
	}
}

// In time a quiet table forgets, and never before a nonce has died.
func TestLedgerForgetsTheDead(t *testing.T) {
	t.Parallel()
	a := authority(t, Options{NonceLife: time.Minute})
	for i := range 600 {
		now := start.Add(time.Duration(i) * time.Second)
		v := answer(t, a.Challenge(now, false), "4001", password, 1)
		later := now.Add(time.Duration(i%60) * time.Second)
		if _, got := a.Check(later, v, "INVITE", users(MD5)); got != OK {
			t.Fatalf("second %d: %v", i, got)
		}
		if _, got := a.Check(now.Add(time.Minute), v, "INVITE", users(MD5)); got != Replayed {
			t.Fatalf("second %d, again: %v", i, got)
		}
	}
	if n := len(a.used.mu.young) + len(a.used.mu.old); n > 4*60 {
		t.Errorf("%d nonces remembered", n)
	}
	if a.used.mu.floor != 0 {
		t.Error("a table that was never full made nonces stale")
	}
}

func TestOneOfManyConcurrentReplaysWins(t *testing.T) {
	t.Parallel()
	a := authority(t, Options{})
	v := answer(t, a.Challenge(start, false), "4001", password, 1)
	verdicts := make([]Verdict, 16)
	var wg sync.WaitGroup
	for i := range verdicts {
		wg.Go(func() { _, verdicts[i] = a.Check(start, v, "INVITE", users(MD5)) })
	}
	wg.Wait()
	count := map[Verdict]int{}
	for _, v := range verdicts {
		count[v]++
	}
	if count[OK] != 1 || count[Replayed] != 15 {
		t.Errorf("verdicts %v", count)
	}
}

func TestOptionsValidate(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"no realm":          {},
		"quote in realm":    {Realm: `a"b`},
		"line end in realm": {Realm: "a\r\nb"},
		"algorithm":         {Realm: realm, Algorithm: "MD5-sess"},
		"negative life":     {Realm: realm, NonceLife: -1},
	} {
		if _, err := New(o); fault.KindOf(err) != fault.Invalid || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerdictText(t *testing.T) {
	t.Parallel()
	if got := fmt.Sprint(Missing, OK, Malformed, Verdict(99)); got != "missing ok malformed verdict(99)" {
		t.Error(got)
	}
	if !Stale.Renew() || !Replayed.Renew() || OK.Renew() || WrongPassword.Renew() {
		t.Error("only right answers on worn nonces ask for renewal")
	}
}

func BenchmarkCheck(b *testing.B) {
	a := authority(b, Options{})
	lookup := users(MD5)
	c := a.Challenge(start, false)
	values := make([]string, b.N)
	for i := range values {
		values[i] = answer(b, c, "4001", password, uint32(i+1))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range values {
		if _, v := a.Check(start, values[i], "INVITE", lookup); v != OK {
			b.Fatal(v)
		}
	}
}
