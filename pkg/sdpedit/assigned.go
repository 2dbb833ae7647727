package sdpedit

// assigned is a payload type as RFC 3551 §6 assigns it: that of a format without a=rtpmap.
func assigned(pt uint8) Format {
	f := Format{PT: pt, Channels: 1, Rate: 8000}
	switch pt {
	case 0:
		f.Encoding = "PCMU"
	case 3:
		f.Encoding = "GSM"
	case 4:
		f.Encoding = "G723"
	case 5:
		f.Encoding = "DVI4"
	case 8:
		f.Encoding = "PCMA"
	case 9:
		f.Encoding = "G722"
	case 13:
		f.Encoding = "CN"
	case 15:
		f.Encoding = "G728"
	case 18:
		f.Encoding = "G729"
	case 10:
		f.Encoding, f.Rate, f.Channels = "L16", 44100, 2
	case 11:
		f.Encoding, f.Rate = "L16", 44100
	case 26:
		f.Encoding, f.Rate = "JPEG", 90000
	case 31:
		f.Encoding, f.Rate = "H261", 90000
	case 34:
		f.Encoding, f.Rate = "H263", 90000
	default:
		f.Rate = 0
	}
	return f
}
