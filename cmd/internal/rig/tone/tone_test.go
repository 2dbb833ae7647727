package tone

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestSineIsHeardAtItsFrequencyAlone(t *testing.T) {
	t.Parallel()
	for _, freq := range []float64{300, 440, 1000, 3000} {
		samples := NewGenerator(freq, Rate, 0.5).Next(1600)
		if p := Power(samples, Rate, freq); math.Abs(p-0.25) > 0.01 {
			t.Errorf("%v Hz at half scale: power %v, want 0.25", freq, p)
		}
		if !Hears(samples, Rate, freq) {
			t.Errorf("%v Hz not heard", freq)
		}
		for _, other := range []float64{350, 620, 1200, 2500} {
			if Hears(samples, Rate, other) || Contains(samples, Rate, other) {
				t.Errorf("%v Hz heard in a tone of %v Hz", other, freq)
			}
		}
	}
}

func TestSilenceIsNoTone(t *testing.T) {
	t.Parallel()
	var g Generator
	samples := g.Next(800)
	if !Silent(samples) || Hears(samples, Rate, 440) || Contains(samples, Rate, 440) {
		t.Error("a tone in silence")
	}
	if Power(nil, Rate, 440) != 0 || Energy(nil) != 0 || Share(nil, Rate, 440, 160) != 0 {
		t.Error("something in nothing")
	}
}

func TestQuietEchoIsContained(t *testing.T) {
	t.Parallel()
	loud, echo := NewGenerator(440, Rate, 0.5).Next(1600), NewGenerator(620, Rate, 0.02).Next(1600)
	for i := range loud {
		loud[i] += echo[i]
	}
	if !Contains(loud, Rate, 620) {
		t.Error("echo at 2 % not found")
	}
	if Hears(loud, Rate, 620) {
		t.Error("echo taken for the main tone")
	}
}

func TestGeneratorJoins(t *testing.T) {
	t.Parallel()
	a, b := NewGenerator(440, Rate, 0.5), NewGenerator(440, Rate, 0.5)
	if !slices.Equal(append(a.Next(160), a.Next(160)...), b.Next(320)) {
		t.Error("two halves are not the whole")
	}
}

func TestShareSeesInterruption(t *testing.T) {
	t.Parallel()
	samples := NewGenerator(440, Rate, 0.5).Next(1600)
	clear(samples[800:])
	if got := Share(samples, Rate, 440, 160); got != 0.5 {
		t.Errorf("share %v, want 0.5", got)
	}
}

func TestG711KnownValues(t *testing.T) {
	t.Parallel()
	// ITU-T G.711 tables 1a/2a, end points and zero.
	for _, c := range []struct {
		name string
		got  int
		want int
	}{
		{"µ zero", int(EncodeULaw(0)), 0xff},
		{"µ most positive", int(EncodeULaw(32767)), 0x80},
		{"µ most negative", int(EncodeULaw(-32768)), 0x00},
		{"µ decode 0x80", int(DecodeULaw(0x80)), 32124},
		{"µ decode 0x00", int(DecodeULaw(0x00)), -32124},
		{"A zero", int(EncodeALaw(0)), 0xd5},
		{"A most positive", int(EncodeALaw(32767)), 0xaa},
		{"A most negative", int(EncodeALaw(-32768)), 0x2a},
		{"A decode 0xaa", int(DecodeALaw(0xaa)), 32256},
		{"A decode 0xd5", int(DecodeALaw(0xd5)), 8},
	} {
		if c.got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, c.got, c.want)
		}
	}
}

func TestG711Roundtrip(t *testing.T) {
	t.Parallel()
	for octet := range 256 {
		b := byte(octet)
		// µ-law has two zeros: 0x7f decodes to 0 and encodes to 0xff.
		if got := EncodeULaw(DecodeULaw(b)); got != b && b != 0x7f {
			t.Errorf("µ-law %#x comes back as %#x", b, got)
		}
		if got := EncodeALaw(DecodeALaw(b)); got != b {
			t.Errorf("A-law %#x comes back as %#x", b, got)
		}
	}
	for v := math.MinInt16; v <= math.MaxInt16; v += 7 {
		s := int16(v)
		tolerance := max(math.Abs(float64(v))/16, 16) + 4
		for name, got := range map[string]int16{"µ": DecodeULaw(EncodeULaw(s)), "A": DecodeALaw(EncodeALaw(s))} {
			if d := math.Abs(float64(got) - float64(v)); d > tolerance && v < 32124 && v > -32124 {
				t.Fatalf("%s-law: %d becomes %d", name, v, got)
			}
		}
	}
}

func TestWAVRoundtrip(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.wav")
	want := WAV{Rate: Rate, Samples: NewGenerator(440, Rate, 0.3).Next(100)}
	if err := WriteWAV(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadWAV(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.Rate != want.Rate || !slices.Equal(got.Samples, want.Samples) {
		t.Error("the file does not read as it was written")
	}
}

func TestWAVOfAKilledWriter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.wav")
	want := NewGenerator(440, Rate, 0.3).Next(100)
	if err := WriteWAV(path, WAV{Rate: Rate, Samples: want}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(data[40:44])
	if w, err := parseWAV(data); err != nil || !slices.Equal(w.Samples, want) {
		t.Errorf("size 0: %v", err)
	}
	if _, err := parseWAV(data[:20]); err == nil {
		t.Error("half a header was accepted")
	}
	if _, err := parseWAV([]byte("RIFFxxxxWAVEdata\x00\x00\x00\x00")); err == nil {
		t.Error("data before the format was accepted")
	}
}
