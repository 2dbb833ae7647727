package tone

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// WAV is a mono recording, or the first channel of one with more.
type WAV struct {
	Rate    int // samples a second
	Samples []int16
}

const (
	wavHeader = 44
	wavPCM    = 1
)

var errNotWAV = errors.New("not a RIFF/WAVE file of 16-bit PCM")

// ReadWAV reads a file of 16-bit PCM. A file whose writer was killed has sizes of 0 or too large: what is
// there is read.
func ReadWAV(path string) (WAV, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return WAV{}, fmt.Errorf("read recording: %w", err)
	}
	w, err := parseWAV(data)
	if err != nil {
		return WAV{}, fmt.Errorf("read recording %s: %w", path, err)
	}
	return w, nil
}

func parseWAV(data []byte) (WAV, error) {
	if len(data) < 12 || string(data[:4]) != "RIFF" || string(data[8:12]) != "WAVE" {
		return WAV{}, errNotWAV
	}
	var w WAV
	channels := 0
	for rest := data[12:]; len(rest) >= 8; {
		id, size := string(rest[:4]), int(binary.LittleEndian.Uint32(rest[4:]))
		body := rest[8:]
		switch id {
		case "fmt ":
			if len(body) < 16 || binary.LittleEndian.Uint16(body) != wavPCM || binary.LittleEndian.Uint16(body[14:]) != 16 {
				return WAV{}, errNotWAV
			}
			channels = int(binary.LittleEndian.Uint16(body[2:]))
			w.Rate = int(binary.LittleEndian.Uint32(body[4:]))
		case "data":
			if channels == 0 {
				return WAV{}, errNotWAV
			}
			if size == 0 || size > len(body) {
				size = len(body)
			}
			w.Samples = firstChannel(body[:size], channels)
			return w, nil
		}
		if size+size%2 > len(body) {
			break
		}
		rest = body[size+size%2:]
	}
	return WAV{}, errNotWAV
}

func firstChannel(data []byte, channels int) []int16 {
	out := make([]int16, 0, len(data)/2/channels)
	for i := 0; i+1 < len(data); i += 2 * channels {
		out = append(out, int16(binary.LittleEndian.Uint16(data[i:])))
	}
	return out
}

// WriteWAV writes a mono file of 16-bit PCM.
func WriteWAV(path string, w WAV) error {
	size := 2 * len(w.Samples)
	out := make([]byte, wavHeader, wavHeader+size)
	copy(out, "RIFF")
	binary.LittleEndian.PutUint32(out[4:], uint32(wavHeader-8+size))
	copy(out[8:], "WAVEfmt ")
	binary.LittleEndian.PutUint32(out[16:], 16)
	binary.LittleEndian.PutUint16(out[20:], wavPCM)
	binary.LittleEndian.PutUint16(out[22:], 1)
	binary.LittleEndian.PutUint32(out[24:], uint32(w.Rate))
	binary.LittleEndian.PutUint32(out[28:], uint32(2*w.Rate))
	binary.LittleEndian.PutUint16(out[32:], 2)
	binary.LittleEndian.PutUint16(out[34:], 16)
	copy(out[36:], "data")
	binary.LittleEndian.PutUint32(out[40:], uint32(size))
	for _, v := range w.Samples {
		out = binary.LittleEndian.AppendUint16(out, uint16(v))
	}
	if err := os.WriteFile(path, out, 0o600); err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	return nil
}
