package tone

// G.711 by arithmetic, after ITU-T G.711 (1988) tables 1a and 2a.

const (
	ulawBias = 0x84  // 33 in 14-bit units, table 2a
	ulawClip = 32635 // the largest magnitude that stays in 15 bits with the bias added
	alawFlip = 0x55  // even bits are inverted on the line
)

// EncodeULaw is the µ-law octet of one linear sample.
func EncodeULaw(sample int16) byte {
	v, sign := int(sample), byte(0)
	if v < 0 {
		v, sign = -v, 0x80
	}
	v = min(v, ulawClip) + ulawBias
	exponent := 7
	for mask := 0x4000; exponent > 0 && v&mask == 0; mask >>= 1 {
		exponent--
	}
	mantissa := byte(v>>(exponent+3)) & 0x0f
	return ^(sign | byte(exponent)<<4 | mantissa)
}

// DecodeULaw is the linear sample of one µ-law octet.
func DecodeULaw(octet byte) int16 {
	octet = ^octet
	v := (int(octet&0x0f)<<3 + ulawBias) << ((octet & 0x70) >> 4)
	if octet&0x80 != 0 {
		return int16(ulawBias - v)
	}
	return int16(v - ulawBias)
}

// EncodeALaw is the A-law octet of one linear sample.
func EncodeALaw(sample int16) byte {
	v, sign := int(sample), byte(0x80)
	if v < 0 {
		v, sign = -v-1, 0
	}
	exponent := 7
	for mask := 0x4000; exponent > 0 && v&mask == 0; mask >>= 1 {
		exponent--
	}
	shift := max(exponent+3, 4)
	return (sign | byte(exponent)<<4 | byte(v>>shift)&0x0f) ^ alawFlip
}

// DecodeALaw is the linear sample of one A-law octet.
func DecodeALaw(octet byte) int16 {
	octet ^= alawFlip
	v, exponent := int(octet&0x0f)<<4+8, int(octet&0x70)>>4
	if exponent > 0 {
		v = (v + 0x100) << (exponent - 1)
	}
	if octet&0x80 == 0 {
		return int16(-v)
	}
	return int16(v)
}
