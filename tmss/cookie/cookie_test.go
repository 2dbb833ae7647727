package cookie_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/tmss/cookie"
)

var (
	now    = time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)
	sample = cookie.Cookie{By: "hub/a", In: "site/london", Out: "trunk/carrier"}
	callID = []byte("x@192.0.2.1")
)

func key(id cookie.KeyID, made time.Time) cookie.Key {
	return cookie.Key{ID: id, Secret: [32]byte{byte(id), 1, 2}, Made: made}
}

func ring(keys ...cookie.Key) *cookie.Keyring {
	r := new(cookie.Keyring)
	r.Set(keys)
	return r
}

func sign(tb testing.TB, r *cookie.Keyring, c cookie.Cookie, at time.Time) []byte {
	tb.Helper()
	text, err := r.Append([]byte("mss="), c, callID, []byte("alice"), at)
	if err != nil {
		tb.Fatal(err)
	}
	return text[len("mss="):]
}

func TestTagTellsWhoSpeaks(t *testing.T) {
	t.Parallel()
	r := ring(key(7, now))
	text := sign(t, r, sample, now)
	if len(text) > 64 || bytes.ContainsFunc(text, func(c rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz234567", c) }) {
		t.Errorf("%d characters: %s", len(text), text)
	}
	for name, tc := range map[string]struct {
		callID, from, to string
		direction        cookie.Direction
		next             federation.NodeID
		err              error
	}{
		"caller":        {"x@192.0.2.1", "alice", "bob", cookie.FromCaller, "trunk/carrier", nil},
		"callee":        {"x@192.0.2.1", "bob", "alice", cookie.FromCallee, "site/london", nil},
		"new dialog":    {"x@192.0.2.1", "alice", "", cookie.FromCaller, "trunk/carrier", nil},
		"other call":    {"y@192.0.2.1", "alice", "bob", 0, "", cookie.ErrMismatch},
		"other caller":  {"x@192.0.2.1", "carol", "bob", 0, "", cookie.ErrMismatch},
		"no tags":       {"x@192.0.2.1", "", "", 0, "", cookie.ErrMismatch},
		"shifted bytes": {"x@192.0.2.1a", "lice", "bob", 0, "", cookie.ErrMismatch},
	} {
		got, direction, err := r.Verify(text, []byte(tc.callID), []byte(tc.from), []byte(tc.to), now)
		if got != sample || direction != tc.direction || !errors.Is(err, tc.err) {
			t.Errorf("%s: %+v, %d, %v", name, got, direction, err)
		}
		if err == nil && got.Next(direction) != tc.next {
			t.Errorf("%s: next is %s, want %s", name, got.Next(direction), tc.next)
		}
	}
	if _, _, err := r.Verify(bytes.ToUpper(text), callID, []byte("alice"), nil, now); err != nil {
		t.Errorf("in capitals: %v", err)
	}
}

func TestEveryBitCounts(t *testing.T) {
	t.Parallel()
	r := ring(key(7, now))
	text := sign(t, r, sample, now)
	for i := range text {
		changed := bytes.Clone(text)
		changed[i] = "ab"[map[bool]int{true: 1}[text[i] == 'a']]
		got, _, err := r.Verify(changed, callID, []byte("alice"), []byte("bob"), now)
		if err == nil && i < len(text)-1 { // the last character has spare bits
			t.Errorf("character %d changed and %+v believed", i, got)
		}
	}
	for length := range len(text) {
		if _, _, err := r.Verify(text[:length], callID, []byte("alice"), nil, now); err == nil {
			t.Errorf("%d characters of it believed", length)
		}
	}
}

func TestNamesThatDoNotFit(t *testing.T) {
	t.Parallel()
	r := ring(key(1, now))
	for _, name := range []federation.NodeID{"", "hub/", federation.NodeID("site/" + strings.Repeat("x", 64))} {
		if _, err := r.Append(nil, cookie.Cookie{By: "hub/a", In: name, Out: "hub/b"}, callID, []byte("t"), now); err == nil {
			t.Errorf("%q was written", name)
		}
	}
	odd := cookie.Cookie{By: "hub/a", In: "operator/anna", Out: federation.NodeID("site/" + strings.Repeat("x", 63))}
	if got, _, err := r.Verify(sign(t, r, odd, now), callID, []byte("alice"), nil, now); got != odd || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := new(cookie.Keyring).Append(nil, sample, callID, []byte("t"), now); !errors.Is(err, cookie.ErrUnknownKey) {
		t.Errorf("without a key: %v", err)
	}
}

func TestKeysTakeTurns(t *testing.T) {
	t.Parallel()
	first, second := key(1, now), key(2, now.Add(24*time.Hour))
	both := ring(second, first)
	for _, tc := range []struct {
		after time.Duration
		want  *cookie.Keyring // the ring of the one key that signs
	}{
		{0, ring(first)}, // the first key of a domain, at once
		{24*time.Hour + 9*time.Minute, ring(first)},
		{24*time.Hour + 10*time.Minute, ring(second)},
	} {
		at := now.Add(tc.after)
		if _, _, err := tc.want.Verify(sign(t, both, sample, at), callID, []byte("alice"), nil, at); err != nil {
			t.Errorf("after %v: %v", tc.after, err)
		}
	}
	old := sign(t, ring(first), sample, now)
	for after, want := range map[time.Duration]error{71 * time.Hour: nil, 72 * time.Hour: cookie.ErrUnknownKey} {
		if _, _, err := both.Verify(old, callID, []byte("alice"), nil, now.Add(after)); !errors.Is(err, want) {
			t.Errorf("first key after %v: %v, want %v", after, err, want)
		}
	}
	if _, _, err := ring(first).Verify(old, callID, []byte("alice"), nil, now.Add(1000*time.Hour)); err != nil {
		t.Errorf("a key without a successor ended: %v", err)
	}
}

func TestUnknownKeyIsAskedFor(t *testing.T) {
	t.Parallel()
	text := sign(t, ring(key(9, now)), sample, now)
	r := ring(key(1, now))
	var asked []cookie.KeyID
	r.OnUnknown(func(id cookie.KeyID) { asked = append(asked, id) })
	for _, after := range []time.Duration{0, 900 * time.Millisecond, time.Second} {
		got, _, err := r.Verify(text, callID, []byte("alice"), nil, now.Add(after))
		if !errors.Is(err, cookie.ErrUnknownKey) || got != sample {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if len(asked) != 2 || asked[0] != 9 {
		t.Errorf("asked for %v", asked)
	}
	r.Set([]cookie.Key{key(1, now), key(9, now)})
	if _, _, err := r.Verify(text, callID, []byte("alice"), nil, now); err != nil {
		t.Error(err)
	}
}

// FuzzVerify: what was not signed is not believed, whatever it says, and nothing panics.
func FuzzVerify(f *testing.F) {
	r := ring(key(7, now))
	good := sign(f, r, sample, now)
	f.Add(good, []byte("alice"))
	f.Add([]byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaa"), []byte("bob"))
	f.Fuzz(func(t *testing.T, text, tag []byte) {
		c, d, err := r.Verify(text, callID, tag, nil, now)
		if err != nil {
			if d != 0 {
				t.Errorf("direction %d with %v", d, err)
			}
			return
		}
		if c != sample || string(tag) != "alice" {
			t.Errorf("%q believed: %+v", text, c)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	r := ring(key(7, now))
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out, _ = r.Append(out[:0], sample, callID, []byte("1234567890"), now)
	}
}

func BenchmarkVerify(b *testing.B) {
	r := ring(key(7, now))
	text := sign(b, r, sample, now)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := r.Verify(text, callID, []byte("bob"), []byte("alice"), now); err != nil {
			b.Fatal(err)
		}
	}
}
