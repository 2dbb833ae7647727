// Package tagged writes and reads small records as a version byte and numbered fields, in the wire format of Protocol
// Buffers but without generated messages: appending costs no allocation. Zero values are left out, and a reader skips
// numbers that it does not know, so that a later build may add fields without a new version.
//
// It knows no record of its own. Start at [Append] and [Read].
package tagged

import (
	"encoding"
	"errors"
	"net/netip"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Number tells the fields of a record apart. A number is never used again for something else.
type Number int32

// Append begins a record of that version.
func Append(dst []byte, version byte) []byte { return append(dst, version) }

// String appends a text, or bytes.
func String[T ~string | ~[]byte](dst []byte, number Number, v T) []byte {
	if len(v) == 0 {
		return dst
	}
	dst = protowire.AppendTag(dst, protowire.Number(number), protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(len(v)))
	return append(dst, v...)
}

// Strings appends each text of a list, empty ones too.
func Strings(dst []byte, number Number, list []string) []byte {
	for _, v := range list {
		dst = protowire.AppendTag(dst, protowire.Number(number), protowire.BytesType)
		dst = protowire.AppendString(dst, v)
	}
	return dst
}

// Uint appends a number that is not negative.
func Uint[T ~uint8 | ~uint32 | ~uint64 | ~int | ~int64](dst []byte, number Number, v T) []byte {
	if v == 0 {
		return dst
	}
	dst = protowire.AppendTag(dst, protowire.Number(number), protowire.VarintType)
	return protowire.AppendVarint(dst, uint64(v))
}

// Bool appends a flag.
func Bool(dst []byte, number Number, v bool) []byte {
	return Uint(dst, number, protowire.EncodeBool(v))
}

// Time appends a time of this or the next two centuries, to the nanosecond and without its zone.
func Time(dst []byte, number Number, v time.Time) []byte {
	if v.IsZero() {
		return dst
	}
	return Uint(dst, number, v.UnixNano())
}

// Addr appends an address.
func Addr(dst []byte, number Number, v netip.Addr) []byte {
	if !v.IsValid() {
		return dst
	}
	dst, begin := Open(dst, number)
	dst, _ = v.AppendBinary(dst) // never fails
	return Close(dst, begin)
}

// AddrPort appends an address with its port.
func AddrPort(dst []byte, number Number, v netip.AddrPort) []byte {
	if !v.IsValid() {
		return dst
	}
	dst, begin := Open(dst, number)
	dst, _ = v.AppendBinary(dst) // never fails
	return Close(dst, begin)
}

// Open begins a record inside the record, up to 2 MB, which Close ends; begin is for Close. Its length is written in
// three bytes always, longer than it need be.
func Open(dst []byte, number Number) (out []byte, begin int) {
	dst = protowire.AppendTag(dst, protowire.Number(number), protowire.BytesType)
	dst = append(dst, 0, 0, 0)
	return dst, len(dst)
}

// Close ends what Open began.
func Close(dst []byte, begin int) []byte {
	n := len(dst) - begin
	dst[begin-3], dst[begin-2], dst[begin-1] = byte(n)|0x80, byte(n>>7)|0x80, byte(n>>14)&0x7f
	return dst
}

// Field is one field that was read. Its methods give zero for a value of another kind.
type Field struct {
	Number Number
	text   []byte
	number uint64
}

// ErrDamaged says that a record is not whole.
var ErrDamaged = errors.New("record is damaged")

// ErrVersion says that a record is of a version that the reader does not know.
var ErrVersion = errors.New("record is of another version")

// Read gives the fields of a record of that version to take, in the order in which they were written.
func Read(data []byte, version byte, take func(Field) error) error {
	if len(data) == 0 {
		return ErrDamaged
	}
	if data[0] != version {
		return ErrVersion
	}
	return ReadFields(data[1:], take)
}

// ReadFields is Read for the inside of a field that Open began.
func ReadFields(data []byte, take func(Field) error) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return ErrDamaged
		}
		data = data[n:]
		f := Field{Number: Number(number)}
		switch kind {
		case protowire.BytesType:
			f.text, n = protowire.ConsumeBytes(data)
		case protowire.VarintType:
			f.number, n = protowire.ConsumeVarint(data)
		default:
			n = protowire.ConsumeFieldValue(number, kind, data)
		}
		if n < 0 {
			return ErrDamaged
		}
		data = data[n:]
		if err := take(f); err != nil {
			return err
		}
	}
	return nil
}

// String is a text.
func (f Field) String() string { return string(f.text) }

// Bytes is a copy of bytes.
func (f Field) Bytes() []byte { return append([]byte(nil), f.text...) }

// Inside is what a record inside the record holds, for ReadFields. It is part of what Read was given.
func (f Field) Inside() []byte { return f.text }

// Uint is a number.
func (f Field) Uint() uint64 { return f.number }

// Int is a number of the usual kind.
func (f Field) Int() int { return int(f.number) } //nolint:gosec // an int was written

// Bool is a flag.
func (f Field) Bool() bool { return f.number != 0 }

// Time is a time in UTC.
func (f Field) Time() time.Time { return time.Unix(0, int64(f.number)).UTC() } //nolint:gosec // UnixNano was written

// Addr reads an address.
func (f Field) Addr(into *netip.Addr) error { return f.binary(into) }

// AddrPort reads an address with its port.
func (f Field) AddrPort(into *netip.AddrPort) error { return f.binary(into) }

func (f Field) binary(into encoding.BinaryUnmarshaler) error {
	if into.UnmarshalBinary(f.text) != nil {
		return ErrDamaged
	}
	return nil
}
