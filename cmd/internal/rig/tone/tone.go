// Package tone makes and measures test signals: sine waves, G.711, the Goertzel filter, and WAV files. It is
// written apart from the product's own media code, so that an error there cannot hide behind the same error
// here. Start at [Generator] and [Hears].
package tone

import "math"

// Rate is the sampling rate of G.711 in hertz.
const Rate = 8000

// fullScale is the amplitude of the loudest 16-bit sine.
const fullScale = math.MaxInt16

// Generator makes one endless sine wave; consecutive calls of Next join without a click. The zero value is
// silence.
type Generator struct {
	step, phase, amplitude float64
}

// NewGenerator makes a sine of freq hertz at rate samples a second; amplitude 1 is full scale, 0 gives silence.
func NewGenerator(freq float64, rate int, amplitude float64) *Generator {
	return &Generator{
		step:      2 * math.Pi * freq / float64(rate),
		amplitude: min(max(amplitude, 0), 1) * fullScale,
	}
}

// Next gives the next n samples.
func (g *Generator) Next(n int) []int16 {
	out := make([]int16, n)
	for i := range out {
		out[i] = int16(math.Round(g.amplitude * math.Sin(g.phase)))
		g.phase = math.Mod(g.phase+g.step, 2*math.Pi)
	}
	return out
}
