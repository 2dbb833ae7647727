package call

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/media"
	"github.com/mss-federation/mss/pkg/siptransport"
)

var update = flag.Bool("update", false, "write the samples of the formats anew")

// fill gives every field that is zero a value, so that the samples have them all.
func fill(t *testing.T, v reflect.Value, n *uint64) {
	t.Helper()
	if *n++; !v.IsZero() {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(string('a' + rune(*n%26)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(*n)
	case reflect.Uint8:
		v.SetUint(1)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[uint8]uint8{0: 0, 101: 96}))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), n)
		fill(t, v.Index(1), n)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Struct:
		switch v.Interface().(type) {
		case time.Time:
			v.Set(reflect.ValueOf(time.Unix(1772357400, int64(*n)).UTC()))
		case netip.Addr:
			v.Set(reflect.ValueOf(netip.MustParseAddr("192.0.2.1")))
		case netip.AddrPort:
			v.Set(reflect.ValueOf(netip.MustParseAddrPort("[2001:db8::1]:5060")))
		default:
			for _, field := range v.Fields() {
				fill(t, field, n)
			}
		}
	default:
		t.Fatalf("no sample for %v", v.Type())
	}
}

func sampleRecord(t *testing.T) *record {
	t.Helper()
	r, n := new(record), uint64(0)
	fill(t, reflect.ValueOf(r).Elem(), &n)
	delete(r.A.Aim.PayloadTypes, 0) // one is left: a map has no order, and the sample is compared
	delete(r.B.Aim.PayloadTypes, 101)
	return r
}

func sampleNote(t *testing.T) *Note {
	t.Helper()
	note, n := new(Note), uint64(0)
	fill(t, reflect.ValueOf(note).Elem(), &n)
	return note
}

func sampleFile(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestRecordSample(t *testing.T) {
	t.Parallel()
	want := sampleRecord(t)
	data := sampleFile(t, "testdata/record.v1", want.append(nil))
	var got record
	if err := got.read(data); err != nil || !reflect.DeepEqual(&got, want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, &got, want)
	}
	if id, err := HomeCallID(data); err != nil || id != want.B.CallID {
		t.Errorf("home %q: %v", id, err)
	}
	if !bytes.Equal(data, got.append(nil)) {
		t.Error("the format is not that of the sample")
	}
}

func TestNoteSample(t *testing.T) {
	t.Parallel()
	want := sampleNote(t)
	data := sampleFile(t, "testdata/note.v1", want.Append(nil))
	var got Note
	if err := got.Read(data); err != nil || !reflect.DeepEqual(&got, want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, &got, want)
	}
	if !bytes.Equal(data, got.Append(nil)) {
		t.Error("the format is not that of the sample")
	}
}

func TestZeroesStayZero(t *testing.T) {
	t.Parallel()
	var r record
	if err := r.read((&record{}).append(nil)); err != nil || !reflect.DeepEqual(r, record{}) {
		t.Errorf("%+v: %v", r, err)
	}
	var n Note
	if err := n.Read((&Note{}).Append(nil)); err != nil || !reflect.DeepEqual(n, Note{}) {
		t.Errorf("%+v: %v", n, err)
	}
}

func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	data := sampleRecord(t).append(nil)
	for _, damaged := range [][]byte{nil, {9}, data[:len(data)-1], data[:len(data)/2], []byte("{}")} {
		if _, err := HomeCallID(damaged); err == nil {
			t.Errorf("%d bytes are taken for a call", len(damaged))
		}
		if err := new(Note).Read(damaged); err == nil {
			t.Errorf("%d bytes are taken for a note", len(damaged))
		}
	}
}

// BenchmarkRecord is what keeping a call costs, without the disk.
func BenchmarkRecord(b *testing.B) {
	r := record{
		ID: "a", Session: "b",
		CDR: cdr.Record{ID: "a", Caller: "4001", Called: "4002", SetupAt: time.Now(), Termination: federation.Termination{Class: federation.Completed}},
	}
	r.A = legRecord{
		CallID: "a@example.org", Flow: siptransport.Flow{Transport: siptransport.UDP, Remote: netip.MustParseAddrPort("192.0.2.1:5060")},
		Aim: media.Aim{RTP: netip.MustParseAddrPort("192.0.2.1:16384")}, Answer: make([]byte, 700),
	}
	r.B = r.A
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = r.append(buf[:0])
	}
}
