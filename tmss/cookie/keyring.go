package cookie

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// settle is how old a key must be before cookies are made with it, so that all hubs have it by then.
	settle = 10 * time.Minute
	// retire is how long a key is accepted after its successor was made; calls longer than that end.
	retire = 48 * time.Hour
)

// KeyID names a key in the directory, /keys/cookie/N.
type KeyID uint32

// Key is one secret of the domain's hubs.
type Key struct {
	ID     KeyID
	Secret [32]byte
	Made   time.Time
}

// Keyring is the keys that a hub knows. The zero Keyring has none. It is safe for concurrent use.
type Keyring struct {
	keys atomic.Pointer[[]*key] // oldest first
	// unknown is told the id of a key that is missing, at most once a second in all.
	unknown atomic.Pointer[func(KeyID)]
	asked   atomic.Int64
}

// key is a Key with what makes it quick.
type key struct {
	id      KeyID
	made    time.Time
	retire  time.Time // zero: never
	signers sync.Pool
}

// signer is one goroutine's turn with a key: nothing of it is allocated for a signature.
type signer struct {
	hash hash.Hash
	text []byte
	sum  []byte
}

// Set replaces the keys: the whole set as the directory has it.
func (r *Keyring) Set(keys []Key) {
	sorted := slices.SortedFunc(slices.Values(keys), func(a, b Key) int {
		if d := a.Made.Compare(b.Made); d != 0 {
			return d
		}
		return int(int64(a.ID) - int64(b.ID))
	})
	ring := make([]*key, len(sorted))
	for i, k := range sorted {
		secret := k.Secret
		ring[i] = &key{id: k.ID, made: k.Made}
		ring[i].signers.New = func() any { return &signer{hash: hmac.New(sha256.New, secret[:])} }
		if i+1 < len(sorted) {
			ring[i].retire = sorted[i+1].Made.Add(retire)
		}
	}
	r.keys.Store(&ring)
}

// Empty says that there is no key yet: no cookie can be made.
func (r *Keyring) Empty() bool { return len(r.all()) == 0 }

// OnUnknown says whom to tell that a cookie came with a key that is not here: the directory's client, which
// fetches it. fn must not block; it is called at most once a second.
func (r *Keyring) OnUnknown(fn func(KeyID)) { r.unknown.Store(&fn) }

func (r *Keyring) all() []*key {
	if keys := r.keys.Load(); keys != nil {
		return *keys
	}
	return nil
}

// current is the newest key that has settled, or the oldest if none has: the first key of a domain.
func (r *Keyring) current(now time.Time) *key {
	keys := r.all()
	for _, k := range slices.Backward(keys) {
		if now.Sub(k.made) >= settle {
			return k
		}
	}
	if len(keys) > 0 {
		return keys[0]
	}
	return nil
}

func (r *Keyring) find(id KeyID, now time.Time) *key {
	for _, k := range slices.Backward(r.all()) {
		if k.id != id {
			continue
		}
		if k.retire.IsZero() || now.Before(k.retire) {
			return k
		}
		return nil // known and too old: nothing to fetch
	}
	r.miss(id, now)
	return nil
}

func (r *Keyring) miss(id KeyID, now time.Time) {
	fn := r.unknown.Load()
	if fn == nil {
		return
	}
	last := r.asked.Load()
	if now.UnixNano()-last >= int64(time.Second) && r.asked.CompareAndSwap(last, now.UnixNano()) {
		(*fn)(id)
	}
}

// mac signs what a cookie says for one call. The lengths keep Call-ID and tag apart.
func (k *key) mac(signed, callID, tag []byte) (mac [macSize]byte) {
	g, _ := k.signers.Get().(*signer)
	g.text = append(g.text[:0], signed...)
	g.text = binary.AppendUvarint(g.text, uint64(len(callID)))
	g.text = append(g.text, callID...)
	g.text = append(g.text, tag...)
	g.hash.Reset()
	_, _ = g.hash.Write(g.text) // a hash never fails
	g.sum = g.hash.Sum(g.sum[:0])
	copy(mac[:], g.sum)
	k.signers.Put(g)
	return mac
}

func (k *key) fits(mac, signed, callID, tag []byte) bool {
	want := k.mac(signed, callID, tag)
	return hmac.Equal(mac, want[:])
}
