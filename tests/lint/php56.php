<?php
/*
 * php56.php FILE… says what in these files PHP 5.6 would not understand. Web hosts still run PHP that old, and Debian
 * has none. Debian's php-parser (up to version 4) has a grammar of PHP 5; what that grammar accepts although it came
 * later is listed here. Exit status 1 if there is anything, 77 without that grammar.
 *
 * Source: the migration chapters of PHP's manual, 7.0 to 8.3.
 */
@include 'PhpParser/autoload.php';
if (!class_exists('PhpParser\ParserFactory') || !defined('PhpParser\ParserFactory::ONLY_PHP5')) {
	exit(77);
}

use PhpParser\Node;

class Later extends PhpParser\NodeVisitorAbstract
{
	const TYPES = 'int float string bool iterable object mixed void never null false';
	const NAMES = 'random_bytes random_int intdiv error_clear_last preg_replace_callback_array is_iterable is_countable
		array_key_first array_key_last hrtime str_contains str_starts_with str_ends_with get_debug_type get_resource_id
		fdiv array_is_list fsync fdatasync json_validate mb_str_pad mb_str_split array_find array_any array_all
		net_get_interfaces spl_object_id stream_isatty mb_ord mb_chr mb_scrub hash_hkdf session_create_id session_gc
		Throwable TypeError ArithmeticError DivisionByZeroError ArgumentCountError JsonException ValueError WeakMap
		WeakReference Stringable JSON_THROW_ON_ERROR JSON_INVALID_UTF8_SUBSTITUTE JSON_INVALID_UTF8_IGNORE PHP_INT_MIN
		PHP_FLOAT_EPSILON PHP_OS_FAMILY PREG_UNMATCHED_AS_NULL PASSWORD_ARGON2I PASSWORD_ARGON2ID';

	const NODES = '/\\\\(Coalesce|Spaceship|NullableType|UnionType|GroupUse|YieldFrom|ArrowFunction|Match_|AttributeGroup)$/';

	public $found = array();

	private function add($node, $what)
	{
		$this->found[] = array($node->getLine(), "PHP 5.6 has no $what");
	}

	public function enterNode(Node $node)
	{
		if ($node instanceof Node\Param && $node->type instanceof Node\Name
			&& in_array(strtolower($node->type->toString()), explode(' ', self::TYPES), true)) {
			$this->add($node, 'type ' . $node->type->toString());
		}
		if (preg_match(self::NODES, get_class($node), $kind)) {
			$this->add($node, $kind[1]);
		}
		if (($node instanceof Node\FunctionLike && $node->getReturnType()) || ($node instanceof Node\Stmt\Property && $node->type)) {
			$this->add($node, 'such type');
		}
		if ($node instanceof Node\Expr\New_ && $node->class instanceof Node\Stmt\Class_) {
			$this->add($node, 'class without a name');
		}
		if ($node instanceof Node\Stmt\Catch_ && count($node->types) > 1) {
			$this->add($node, 'catch of several classes');
		}
		if ($node instanceof Node\Stmt\ClassConst && $node->flags !== 0) {
			$this->add($node, 'visibility of a constant');
		}
		if ($node instanceof Node\Stmt\DeclareDeclare && $node->key->toString() === 'strict_types') {
			$this->add($node, 'strict_types');
		}
		if ($node instanceof Node\Name && in_array($node->toString(), preg_split('/\s+/', self::NAMES), true)) {
			$this->add($node, $node->toString());
		}
	}
}

$factory = new PhpParser\ParserFactory();
$lexer = new PhpParser\Lexer\Emulative(array('phpVersion' => '7.3'));
$bad = 0;
foreach (array_slice($argv, 1) as $path) {
	$later = new Later();
	try {
		$traverser = new PhpParser\NodeTraverser();
		$traverser->addVisitor($later);
		$traverser->traverse($factory->create(PhpParser\ParserFactory::ONLY_PHP5, $lexer)->parse(file_get_contents($path)));
	} catch (PhpParser\Error $error) {
		$later->found[] = array($error->getStartLine(), $error->getRawMessage());
	}
	// The lexer is that of the PHP that runs this.
	foreach (token_get_all(file_get_contents($path)) as $token) {
		if (is_array($token) && in_array($token[0], array(T_LNUMBER, T_DNUMBER), true) && strpos($token[1], '_')) {
			$later->found[] = array($token[2], "PHP 5.6 has no $token[1]");
		} elseif (is_array($token) && $token[0] === T_END_HEREDOC && $token[1] !== ltrim($token[1])) {
			$later->found[] = array($token[2], 'PHP 5.6 ends a heredoc at the beginning of a line');
		}
	}
	foreach ($later->found as $problem) {
		echo "$path:$problem[0]: $problem[1]\n";
		$bad = 1;
	}
}
exit($bad);
