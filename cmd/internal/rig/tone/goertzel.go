package tone

import "math"

const (
	// audible is the power, relative to a full-scale sine, from which a tone counts as heard: -40 dB.
	audible = 1e-4
	// dominant is the share of all power that must lie at the frequency asked for.
	dominant = 0.5
)

// Power is the power of samples at freq hertz, relative to a full-scale sine: 1 is full scale, 0 nothing.
// The frequency is resolved to about rate/len(samples) hertz.
func Power(samples []int16, rate int, freq float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	omega := 2 * math.Pi * freq / float64(rate)
	coefficient := 2 * math.Cos(omega)
	var s1, s2 float64
	for _, v := range samples {
		s1, s2 = float64(v)/fullScale+coefficient*s1-s2, s1
	}
	magnitude := s1*s1 + s2*s2 - coefficient*s1*s2
	half := float64(len(samples)) / 2
	return magnitude / (half * half)
}

// Energy is the power of all frequencies together, relative to a full-scale sine.
func Energy(samples []int16) float64 {
	if len(samples) == 0 {
		return 0
	}
	var sum float64
	for _, v := range samples {
		f := float64(v) / fullScale
		sum += f * f
	}
	return 2 * sum / float64(len(samples))
}

// Hears says whether samples are loud enough and mostly a tone of freq hertz.
func Hears(samples []int16, rate int, freq float64) bool {
	p := Power(samples, rate, freq)
	return p >= audible && p >= dominant*Energy(samples)
}

// Contains says whether any audible part of samples lies at freq hertz, also under something louder. It is
// how an echo of one's own voice is found.
func Contains(samples []int16, rate int, freq float64) bool {
	return Power(samples, rate, freq) >= audible
}

// Silent says whether nothing audible is in samples.
func Silent(samples []int16) bool { return Energy(samples) < audible }

// Share is the part (0 to 1) of the consecutive windows of n samples in which Hears finds freq. Signals that
// are interrupted have a share below 1.
func Share(samples []int16, rate int, freq float64, n int) float64 {
	var windows, heard int
	for start := 0; n > 0 && start+n <= len(samples); start += n {
		windows++
		if Hears(samples[start:start+n], rate, freq) {
			heard++
		}
	}
	if windows == 0 {
		return 0
	}
	return float64(heard) / float64(windows)
}
