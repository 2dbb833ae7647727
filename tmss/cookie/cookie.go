// Package cookie writes and checks what a hub puts into its Record-Route, so that any hub of the domain can
// pass on a request inside a call that another hub set up: which hub wrote it, between which two nodes the
// call runs, and a MAC over these, the Call-ID and the caller's tag. Whose tag fits tells who is speaking. The
// hubs keep no state of the call.
//
// It owns no keys: the directory makes them, see [Keyring]. Start at [Keyring.Append] and [Keyring.Verify].
package cookie

import (
	"encoding/base32"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
)

// Direction says who sent a request inside a call.
type Direction uint8

// The directions. The zero Direction is none.
const (
	// FromCaller is a request of who sent the one that the cookie was made for: it goes to Out.
	FromCaller Direction = iota + 1
	// FromCallee is a request of the other end: it goes to In.
	FromCallee
)

// Cookie is what a Record-Route of ours says.
type Cookie struct {
	By      federation.NodeID // the hub that wrote it
	In, Out federation.NodeID // the nodes before and behind it, as the caller sees them
}

// Next is the node that a request in that direction goes to.
func (c Cookie) Next(d Direction) federation.NodeID {
	if d == FromCallee {
		return c.In
	}
	return c.Out
}

// Why a cookie is not believed.
var (
	ErrMalformed  = errors.New("cookie cannot be read")
	ErrUnknownKey = errors.New("cookie was made with a key that is not known here")
	ErrMismatch   = errors.New("cookie does not fit this call")
)

const (
	macSize = 8
	// maxText bounds what is decoded: three names of 63 characters.
	maxText = 360
	maxName = 64
)

// encoding is base32 in lower case: safe as the value of a URI parameter, whatever changes its case.
var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// roles are the beginnings of a node's identity that take no room in a cookie.
var roles = [...]string{"", "hub/", "site/", "trunk/"}

// Append appends the cookie's text for a request with this Call-ID and From tag. It fails only when there is
// no key yet, or a name is too long.
func (r *Keyring) Append(dst []byte, c Cookie, callID, fromTag []byte, now time.Time) ([]byte, error) {
	k := r.current(now)
	if k == nil {
		return dst, ErrUnknownKey
	}
	var scratch [256]byte
	raw := binary.AppendUvarint(scratch[:0], uint64(k.id))
	for _, node := range [...]federation.NodeID{c.By, c.In, c.Out} {
		var ok bool
		if raw, ok = appendNode(raw, node); !ok {
			return dst, ErrMalformed
		}
	}
	raw = append(raw, hint(fromTag))
	mac := k.mac(raw, callID, fromTag)
	raw = append(raw, mac[:]...)
	return encoding.AppendEncode(dst, raw), nil
}

// appendNode appends one byte of role and length, and the name behind the role.
func appendNode(dst []byte, node federation.NodeID) ([]byte, bool) {
	role, name := 0, string(node)
	for i := 1; i < len(roles); i++ {
		if rest, ok := strings.CutPrefix(name, roles[i]); ok {
			role, name = i, rest
			break
		}
	}
	if name == "" || len(name) >= maxName {
		return dst, false
	}
	return append(append(dst, byte(role<<6|len(name))), name...), true
}

// Verify reads a cookie that came with a request of this Call-ID and these tags, and says who is speaking. The
// cookie that is returned with ErrMismatch or ErrUnknownKey is what the text claims, no more.
func (r *Keyring) Verify(text, callID, fromTag, toTag []byte, now time.Time) (Cookie, Direction, error) {
	if len(text) > maxText {
		return Cookie{}, 0, ErrMalformed
	}
	var scratch [maxText]byte
	raw, err := encoding.AppendDecode(scratch[:0], lower(text))
	if err != nil || len(raw) <= macSize {
		return Cookie{}, 0, ErrMalformed
	}
	signed, mac := raw[:len(raw)-macSize], raw[len(raw)-macSize:]
	id, c, ok := read(signed)
	if !ok {
		return Cookie{}, 0, ErrMalformed
	}
	k := r.find(id, now)
	switch {
	case k == nil:
		return c, 0, ErrUnknownKey
	case maybe(signed, fromTag) && k.fits(mac, signed, callID, fromTag):
		return c, FromCaller, nil
	case maybe(signed, toTag) && k.fits(mac, signed, callID, toTag):
		return c, FromCallee, nil
	}
	return c, 0, ErrMismatch
}

// hint is one byte of a tag, so that the MAC of the other tag need not be computed. It is signed, and no proof.
func hint(tag []byte) byte {
	h := uint32(2166136261) // FNV-1a
	for _, b := range tag {
		h = (h ^ uint32(b)) * 16777619
	}
	return byte(h ^ h>>8 ^ h>>16 ^ h>>24)
}

func maybe(signed, tag []byte) bool { return len(tag) > 0 && hint(tag) == signed[len(signed)-1] }

// lower undoes what a peer may do to a parameter that it believes to be without case. It copies only then.
func lower(text []byte) []byte {
	for i, b := range text {
		if 'A' <= b && b <= 'Z' {
			low := append([]byte(nil), text...)
			for ; i < len(low); i++ {
				if 'A' <= low[i] && low[i] <= 'Z' {
					low[i] += 'a' - 'A'
				}
			}
			return low
		}
	}
	return text
}

func read(raw []byte) (id KeyID, c Cookie, ok bool) {
	n, size := binary.Uvarint(raw)
	if size <= 0 || n > uint64(^KeyID(0)) {
		return 0, c, false
	}
	raw = raw[size:]
	for _, node := range [...]*federation.NodeID{&c.By, &c.In, &c.Out} {
		if len(raw) == 0 {
			return 0, c, false
		}
		role, length := raw[0]>>6, int(raw[0]&63)
		if length == 0 || len(raw) < 1+length {
			return 0, c, false
		}
		*node = name(roles[role], raw[1:1+length])
		raw = raw[1+length:]
	}
	return KeyID(n), c, len(raw) == 1 // the hint
}

func name(role string, rest []byte) federation.NodeID {
	var scratch [maxName + 8]byte
	return federation.NodeID(append(append(scratch[:0], role...), rest...))
}
