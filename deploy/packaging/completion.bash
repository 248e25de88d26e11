# Completes the options of rowtail, rowtail-publish, rowtail-mirror and rowtail-doctor in bash. Each program lists its own.
_rowtail()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}

	COMPREPLY=()
	case $before in
	--log-level)
		mapfile -t COMPREPLY < <(compgen -W 'error warn info debug' -- "$word")
		return
		;;
	--log-format)
		mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$word")
		return
		;;
	--jwt-algorithm)
		mapfile -t COMPREPLY < <(compgen -W 'HS256 HS384 HS512 RS256 RS384 RS512 ES256 ES384 ES512 EdDSA' -- "$word")
		return
		;;
	esac
	case $word in
	-*)
		mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" --help 2>/dev/null |
			sed -n 's/^  --/--/p' | sed 's/  .*//' | grep -o -e '--[a-z-]*')" -- "$word")
		;;
	*)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		;;
	esac
}
complete -o filenames -F _rowtail rowtail rowtail-publish rowtail-mirror rowtail-doctor
