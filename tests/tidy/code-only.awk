# Prints C files as FILE:LINE:code, with comments taken out and strings emptied, so that a search
# finds words of the program and not of its prose.  With -v comments=1 it prints only the comments.
FNR == 1 { inside = 0 }
{
	rest = $0
	code = prose = ""
	while (rest != "") {
		if (inside) {
			if (!(at = index(rest, "*/"))) {
				prose = prose rest
				break
			}
			prose = prose substr(rest, 1, at - 1) " "
			rest = substr(rest, at + 2)
			inside = 0
		} else if (match(rest, /\/\*|\/\/|"|'/)) {
			code = code substr(rest, 1, RSTART - 1)
			mark = substr(rest, RSTART, RLENGTH)
			rest = substr(rest, RSTART + RLENGTH)
			if (mark == "//") {
				prose = prose rest
				break
			}
			if (mark == "/*") {
				inside = 1
			} else {
				while (rest != "" && substr(rest, 1, 1) != mark)
					rest = substr(rest, substr(rest, 1, 1) == "\\" ? 3 : 2)
				rest = substr(rest, 2)
				code = code mark mark
			}
		} else {
			code = code rest
			break
		}
	}
	shown = comments ? prose : code
	if (shown ~ /[^ \t]/)
		print FILENAME ":" FNR ":" shown
}
