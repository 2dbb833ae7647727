package tagged

import (
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

// note is a record of every kind of field.
type note struct {
	Text   string
	Bytes  []byte
	List   []string
	Number uint64
	Flag   bool
	At     time.Time
	Addr   netip.Addr
	Peer   netip.AddrPort
	Inner  string
}

func (n *note) append(dst []byte) []byte {
	dst = Append(dst, 1)
	dst = String(dst, 1, n.Text)
	dst = String(dst, 2, n.Bytes)
	dst = Strings(dst, 3, n.List)
	dst = Uint(dst, 4, n.Number)
	dst = Bool(dst, 5, n.Flag)
	dst = Time(dst, 6, n.At)
	dst = Addr(dst, 7, n.Addr)
	dst = AddrPort(dst, 8, n.Peer)
	dst, begin := Open(dst, 9)
	dst = String(dst, 1, n.Inner)
	return Close(dst, begin)
}

func (n *note) read(data []byte) error {
	return Read(data, 1, func(f Field) error {
		switch f.Number {
		case 1:
			n.Text = f.String()
		case 2:
			n.Bytes = f.Bytes()
		case 3:
			n.List = append(n.List, f.String())
		case 4:
			n.Number = f.Uint()
		case 5:
			n.Flag = f.Bool()
		case 6:
			n.At = f.Time()
		case 7:
			return f.Addr(&n.Addr)
		case 8:
			return f.AddrPort(&n.Peer)
		case 9:
			return ReadFields(f.Inside(), func(f Field) error {
				n.Inner = f.String()
				return nil
			})
		}
		return nil
	})
}

func sample() note {
	return note{
		Text: "a", Bytes: []byte{0, 1}, List: []string{"", "b"}, Number: 1 << 63, Flag: true, At: time.Unix(1, 2).UTC(),
		Addr: netip.MustParseAddr("2001:db8::1"), Peer: netip.MustParseAddrPort("192.0.2.1:5060"),
		Inner: string(make([]byte, 300)),
	}
}

func TestKeepsEverything(t *testing.T) {
	t.Parallel()
	want := sample()
	for v, i := reflect.ValueOf(want), 0; i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Fatalf("the sample has no %s", v.Type().Field(i).Name)
		}
	}
	var got note
	if err := got.read(want.append(nil)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
	}
	var zero note
	data := zero.append(nil)
	if err := got.read(data); err != nil || len(data) != 5 {
		t.Errorf("a zero record is %x: %v", data, err)
	}
}

func TestUnknownFieldsAreSkipped(t *testing.T) {
	t.Parallel()
	data := Uint(String(Append(nil, 1), 99, "new"), 98, uint64(1))
	data = append(data, 0xb9, 0x06, 1, 2, 3, 4, 5, 6, 7, 8) // field 103, of a kind that nobody writes
	var got note
	if err := got.read(String(data, 1, "a")); err != nil || got.Text != "a" {
		t.Errorf("%v, %+v", err, got)
	}
}

func TestDamaged(t *testing.T) {
	t.Parallel()
	s := sample()
	whole := s.append(nil)
	for n := range whole {
		var got note
		if err := got.read(whole[:n]); err == nil && reflect.DeepEqual(got, s) {
			t.Errorf("%d of %d bytes are taken for all", n, len(whole))
		}
	}
	var got note
	if err := got.read(nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("nothing: %v", err)
	}
	if err := got.read([]byte{2}); !errors.Is(err, ErrVersion) {
		t.Errorf("another version: %v", err)
	}
	if err := got.read(String(Append(nil, 1), 8, "xyz")); !errors.Is(err, ErrDamaged) {
		t.Errorf("no address: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	s := sample()
	f.Add(s.append(nil))
	f.Fuzz(func(_ *testing.T, data []byte) {
		var n note
		_ = n.read(data) // must not panic
	})
}
