module go-regexp

go 1.26
