package siptx

import (
	crand "crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"math/rand/v2"
	"strconv"
)

// idEncoding is base32 in lower case: safe in a Call-ID, a tag and a file name.
var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// newRandom is a worker's own source of numbers that an off-path attacker cannot guess.
func newRandom() *rand.Rand {
	var seed [32]byte
	// crypto/rand.Read never fails; it ends the program instead.
	_, _ = crand.Read(seed[:])
	return rand.New(rand.NewChaCha8(seed))
}

// NewCallID makes a Call-ID whose messages come to this worker.
func (w *Worker) NewCallID() string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], w.random.Uint64())
	binary.BigEndian.PutUint64(raw[8:], w.random.Uint64())
	id := make([]byte, 0, callIDRandom+4)
	id = idEncoding.AppendEncode(id, raw[:])
	id = append(id, '.')
	return string(strconv.AppendInt(id, int64(w.index), 10))
}

// NewTag makes a From or To tag of 64 random bits.
func (w *Worker) NewTag() string { return formatTag(w.random.Uint64()) }

// Branch names a client transaction: 56 random bits below the number of its worker, so that a response
// finds both without a string. The zero Branch is none.
type Branch uint64

const (
	// branchPrefix is the magic cookie of RFC 3261 §8.1.1.7 and a mark that tells our branches from others.
	branchPrefix = "z9hG4bKmss"
	branchLength = len(branchPrefix) + 16
	branchBits   = 56
	// cancelMark sets the key of a CANCEL's transaction apart: it has the branch of its INVITE (§9.1).
	cancelMark = 1 << 63
)

// NewBranch draws a branch that no transaction of this worker has.
func (w *Worker) NewBranch() Branch {
	for {
		b := Branch(uint64(w.index)<<branchBits | w.random.Uint64()>>(64-branchBits))
		if _, taken := w.clients[uint64(b)]; !taken && b != 0 {
			return b
		}
	}
}

// AppendTo appends the branch as it stands in a Via: cookie, mark, and 16 hexadecimal digits.
func (b Branch) AppendTo(dst []byte) []byte {
	dst = append(dst, branchPrefix...)
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[b>>shift&15])
	}
	return dst
}

// String is the branch as it stands in a Via.
func (b Branch) String() string { return string(b.AppendTo(nil)) }

// ParseBranch reads what AppendTo wrote; ok is false for other people's branches.
func ParseBranch(text []byte) (b Branch, ok bool) {
	if len(text) != branchLength || string(text[:len(branchPrefix)]) != branchPrefix {
		return 0, false
	}
	for _, c := range text[len(branchPrefix):] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		b = b<<4 | Branch(c)
	}
	return b, true
}

// worker is the index of the worker that drew the branch.
func (b Branch) worker() int { return int(b >> branchBits & 127) }
