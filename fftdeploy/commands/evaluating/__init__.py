"""How an evaluation is asked for, paid for, judged and told, by whichever command wants one."""
